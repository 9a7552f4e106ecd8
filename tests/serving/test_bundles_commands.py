"""`recsys bundles`, as a person calls it."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from recsys.bundle import decision_path
from recsys.errors import BundleError, StoreError
from recsys.forgetting.lineage import mark_path
from recsys.shelf import Shelf
from recsys.workspace import Workspace
from serving.bundles_commands import bundles
from tests.serving.shelves import add_bundle, made_project


@pytest.fixture
def call(tmp_path: Path, made_scorer: Path):
    made_project(tmp_path, made_scorer)

    def run(command: str, *arguments: str) -> list[str]:
        done = CliRunner().invoke(bundles, [command, "--config", str(tmp_path / "recsys.toml"), *arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output.splitlines()

    run.folder = tmp_path / "bundles"  # type: ignore[attr-defined]
    return run


def marks(lines: list[str]) -> dict[str, str]:
    """By bundle."""
    return {line[2:].split()[0]: line[0] for line in lines}


def test_a_promotion_and_the_way_back(call):
    assert call("promote", "other") == ["other is the champion"]
    assert marks(call("list")) == {"other": "*", "made": "-"}
    assert call("rollback") == ["made is the champion again"]
    assert marks(call("list")) == {"other": " ", "made": "*"}


def test_the_list_says_how_good_each_is(call):
    by_mark = {line[0]: line for line in call("list")}
    assert by_mark["*"].endswith("data until –  not measured")
    assert by_mark[" "].endswith("data until –  ndcg@10 0.5000")


def test_a_bundle_is_shown_with_all_that_its_manifest_says(call):
    assert "metrics.all.ndcg@10: 0.5" in call("show", "other")
    assert "bundle_id: made" in call("show")


def test_the_difference_of_two_bundles_has_the_change_of_numbers(call):
    add_bundle(call.folder / "other", "better", metrics={"all": {"ndcg@10": 0.53}}, dataset="shop")
    assert call("diff", "other", "better") == ["dataset: made → shop", "metrics.all.ndcg@10: 0.5 → 0.53 (+0.03)"]


def test_a_broken_bundle_is_refused(call):
    (call.folder / "other" / "ranker.txt").write_text("tree!")
    with pytest.raises(BundleError, match=r"other/ranker\.txt: sha256 is"):
        call("promote", "other")
    assert marks(call("list"))["made"] == "*"


def test_old_bundles_are_deleted_and_named(call):
    assert call("prune", "--keep", "0") == ["other is deleted"]
    assert marks(call("list")) == {"made": "*"}


def test_a_bundle_that_was_trained_with_forgotten_users_says_so_and_can_be_deleted(call):
    write_mark(call.folder, "other", 2)
    said = {line[2:].split()[0]: line for line in call("list")}
    assert said["other"].endswith("  trained with 2 forgotten users")
    assert "forgotten" not in said["made"]
    assert {"forgotten.users: 2", "forgotten.latest: 2024-05-02 00:00Z"} <= set(call("show", "other"))
    assert not any(line.startswith("forgotten") for line in call("show", "made"))
    assert call("prune", "--forgotten") == ["other is deleted"]
    for options in ([], ["--forgotten", "--keep", "1"]):
        assert "one of the two" in call("prune", *options)[-1]


def write_mark(bundles: Path, name: str, users: int) -> None:
    """Users of whom one was forgotten on each day of May."""
    mark = {"users": {f"{nth:032x}": f"2024-05-{nth + 1:02}T00:00:00Z" for nth in range(users)}}
    mark_path(bundles, name).write_text(json.dumps(mark))


def test_what_the_gate_said_of_a_bundle_is_shown_with_it(call):
    assert not any(line.startswith("decision") for line in call("show", "made"))
    decision_path(call.folder, "made").write_text('{"promoted": false, "reasons": ["worse on new items"]}')
    assert "decision.promoted: False" in call("show", "made")


# With an object store


@pytest.fixture
def store(call, tmp_path: Path) -> Path:
    """A store for the project, which has the bundle apart, made elsewhere, with what the gate said of it."""
    (tmp_path / "store").mkdir()
    (tmp_path / "elsewhere").mkdir()
    config = tmp_path / "recsys.toml"
    config.write_text(f'{config.read_text()}\n[bundles]\nurl = "file://{tmp_path}/store"\n')
    (tmp_path / "elsewhere" / "recsys.toml").write_text(config.read_text())
    shelf = Shelf(Workspace.open(tmp_path / "elsewhere" / "recsys.toml"))
    shutil.copytree(call.folder / "made", shelf.path / "made")
    add_bundle(shelf.path / "made", "apart", metrics={"all": {"ndcg@10": 0.6}})
    shelf.upload("apart")
    decision_path(shelf.path, "apart").write_text('{"promoted": true}')
    shelf.upload_decision("apart")
    return tmp_path / "store"


def test_what_lies_here_and_what_lies_in_the_store_are_listed_together(call, store):
    call("promote", "other")
    lines = {line[2:].split()[0]: line for line in call("list")}
    assert {name: line.rpartition("  ")[2] for name, line in lines.items()} == {
        "apart": "in the store",
        "made": "here and in the store",
        "other": "here and in the store",
    }
    assert marks(list(lines.values())) == {"apart": " ", "made": "-", "other": "*"}


def test_a_bundle_of_the_store_is_shown_compared_brought_and_promoted(call, store):
    assert {"metrics.all.ndcg@10: 0.6", "decision.promoted: True"} <= set(call("show", "apart"))
    assert call("diff", "other", "apart") == ["metrics.all.ndcg@10: 0.5 → 0.6 (+0.1)"]
    assert call("promote", "apart") == ["apart is the champion"]
    assert (call.folder / "apart" / "manifest.json").exists()
    assert "bundle_id: apart" in call("show")
    assert call("rollback") == ["made is the champion again"]
    assert "bundle_id: made" in call("show")


def test_old_bundles_are_deleted_here_and_in_the_store(call, store):
    call("promote", "other")
    assert call("prune", "--keep", "0") == ["apart is deleted"]
    assert sorted(path.name for path in (store / "bundles").iterdir()) == ["made", "other"]


def test_without_the_store_what_lies_here_is_listed_and_nothing_is_promoted(call, store):
    store.rename(store.with_name("away"))
    lines = call("list")
    assert lines[1] == "only what lies here is listed, with the champion of here"
    assert marks(lines[2:]) == {"made": "*", "other": " "}
    with pytest.raises(StoreError):
        call("promote", "other")
    assert marks(call("list")[2:])["made"] == "*"
