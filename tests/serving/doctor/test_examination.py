"""A whole deployment has nothing to mend; a part that is broken is named, and the others are looked at all the same."""

from pathlib import Path

import pytest
from redis import Redis

from serving.doctor.examination import examine
from serving.doctor.finding import Finding
from tests.serving.doctor.deployment import deployed
from tests.valkey import address_of, valkey_server

CHECKS = [
    "configuration", "rules", "channels", "tables", "bundle", "features", "feature store", "feature store items",
    "event log", "keys", "disk", "port", "onnxruntime", "versions", "threads", "clock",
]  # fmt: skip


@pytest.fixture
def config(tmp_path: Path, made_scorer: Path) -> Path:
    return deployed(tmp_path, made_scorer)


def examined(config: Path) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(config)}


def problems(config: Path) -> dict[str, str]:
    return {check: finding.found for check, finding in examined(config).items() if finding.state == "problem"}


def files_of(folder: Path) -> set[Path]:
    """But those that SQLite has beside a database that is read."""
    return {path for path in folder.rglob("*") if not path.name.endswith(("-wal", "-shm"))}


def test_a_whole_deployment_has_no_problem_and_is_left_as_it_was(config, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = files_of(config.parent)
    found = examined(config)
    assert list(found) == CHECKS
    assert [finding for finding in found.values() if finding.state == "problem"] == []
    assert found["tables"].found == "2 items, 2 interactions"
    assert found["bundle"].found.startswith("made, ")
    # Those that sold are x1 to x3, and a1 was chosen.
    assert found["feature store items"].found == "4 of the bundle's 12 items have features"
    assert files_of(config.parent) == before


def test_a_config_that_cannot_be_read_ends_it(config):
    config.write_text("name = ")
    (finding,) = examine(config)
    assert (finding.check, finding.state) == ("configuration", "problem")


def test_a_file_of_the_bundle_that_changed_is_named(config):
    (config.parent / "bundles" / "made" / "ranker.txt").write_text("other trees")
    found = problems(config)
    assert list(found) == ["bundle"]
    assert "ranker.txt: sha256 is" in found["bundle"]


def test_a_bundle_of_other_features_says_in_which_they_differ(config):
    config.write_text(config.read_text().replace("click =", "purchase = { label = true }\nclick ="))
    found = examined(config)
    assert found["features"].state == "problem"
    assert "purchase" in found["features"].found
    assert "`recsys train`" in found["features"].mend


def test_an_empty_store_and_no_bundle_are_two_problems_and_the_rest_is_looked_at(tmp_path):
    config = tmp_path / "recsys.toml"
    config.write_text('name = "new"\n[source]\ninteractions = "i.csv"\n[interaction_types]\nclick = { label = true }\n')
    found = problems(config)
    assert "run `recsys train`" in found.pop("bundle")
    assert "run `recsys train`" in found.pop("feature store")
    assert set(found) <= {"port"}
    assert [path.name for path in tmp_path.iterdir()] == ["recsys.toml"]


def test_a_redis_that_is_down_is_a_problem_until_it_is_back(tmp_path, made_scorer):
    with valkey_server(tmp_path) as server:
        (tmp_path / "shop").mkdir()
        config = deployed(tmp_path / "shop", made_scorer, address_of(server))
        assert "feature store" not in problems(config)
        server.terminate()
        assert "the online store does not answer" in problems(config)["feature store"]
        server.start()
        assert "feature store" not in problems(config)


def test_an_event_log_in_redis_must_answer_and_keep_what_it_takes(tmp_path):
    toml = 'name = "n"\n[source]\ninteractions = "i.csv"\n[interaction_types]\nclick = { label = true }\n'
    check = "event log in Redis"
    with valkey_server(tmp_path) as server:
        config = tmp_path / "recsys.toml"
        config.write_text(f'{toml}[log]\nstore = "{address_of(server)}"\n')
        with Redis.from_url(address_of(server)) as client:
            client.config_set("appendonly", "no")
            assert "keeps nothing on a disk" in examined(config)["event log"].found
            client.config_set("appendonly", "yes")
            assert examined(config)[check].state == "ok"
        server.terminate()
        found = examined(config)
    assert (found[check].state, "does not answer" in found[check].found) == ("problem", True)
    assert found["event log"].state == "ok"


def test_a_file_of_rules_that_is_not_there_is_named(config):
    config.write_text(config.read_text() + '[surfaces.home]\nexclude_file = "hidden.txt"\n')
    assert "hidden.txt" in problems(config)["rules"]
