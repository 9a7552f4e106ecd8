"""Answers of a shop's server, replayed: from the features that training would have computed, and from others."""

import json
import re
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from shutil import copytree, rmtree

import polars as pl
import pytest
from click.testing import CliRunner, Result

from features.featureset import FeatureSet
from recsys.bundle import open_bundle
from recsys.importing import import_tables
from recsys.schema import columns_of
from recsys.workspace import Workspace
from serving import live_behaviour
from serving.asked import Asked
from serving.audit import parity
from serving.audit_parity import audit_parity
from serving.bundle_engine import BundleEngine
from serving.engine import load_engine
from serving.events import EventLog
from serving.feature_table import logged_requests
from serving.item_types import ItemChange, ItemVersion
from serving.types import Impression, Interaction, RankedList
from tests.training.project import shop_project
from training.pipeline import Pipeline
from training.publishing import publish_models

IMPORTED = "imported"
SETTINGS = """
[serving]
logged_features_share = 1.0
[features]
user_attributes = { country = "categorical", member_since = "timestamp" }
"""
USERS = "\n".join(f"user-{at:02},{('NO', 'FR')[at % 2]},2023-0{1 + at % 9}-01" for at in range(80))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """A project whose server answered while events came in: its folder, for each test to copy."""
    workspace = shop_project(tmp_path_factory.mktemp("shop"), tiny_encoder)
    config = workspace.root / "recsys.toml"
    text = config.read_text().replace("[source]", '[source]\nusers = "users.csv"')
    config.write_text(text + SETTINGS)
    (workspace.root / "users.csv").write_text("user_id,country,member_since\n" + USERS)
    workspace = Workspace.open(config)
    import_tables(workspace)
    imported_impressions(workspace).write_parquet(workspace.table_path("impressions"))
    pipeline = Pipeline(workspace, cut=workspace.config.split.test_start)
    pipeline.compute_features()
    publish_models(pipeline, None)
    items, users = pipeline.catalogue.item_ids, pipeline.interactions["user_id"].unique().sort().to_list()
    with EventLog.open(workspace.events) as log:
        serve(load_engine(workspace), log, items, users, pipeline.end)
    return workspace.root


def imported_impressions(workspace: Workspace) -> pl.DataFrame:
    """One of a day before the last interaction, and one that the snapshot comes too early for."""
    interactions = workspace.read_table("interactions")
    last = interactions["timestamp"].max()
    items = interactions["item_id"].unique().sort().head(9).to_list()
    moments = [last - timedelta(days=1), last + timedelta(days=1)]
    columns = {"request_id": [IMPORTED, "later"], "user_id": ["u", "u"], "timestamp": moments, "items": [items, items]}
    return pl.DataFrame(columns, schema_overrides=columns_of("impressions"))


def serve(engine: BundleEngine, log: EventLog, items: list[str], users: list[str], moment: datetime) -> None:
    """Users who are known, come back, come late, are new; one who asks for something; and an item that is new."""
    shown = count()

    def show(user: str, ranked: RankedList, query: str | None = None) -> None:
        number = next(shown)
        impression = Impression(
            request_id=f"request-{number}",
            user_id=user,
            # Some at the moment of an event or after it: they are not counted yet.
            timestamp=moment + timedelta(minutes=30 * number),
            items=[item.item_id for item in ranked.items],
            surface="test",
            bundle=engine.bundle_id,
            query=query,
        )
        log.show(impression, ranked.features)

    def buy(user: str, item: str, at: datetime, value: float | None = None, of: str | None = None) -> Interaction:
        return Interaction(user_id=user, item_id=item, event_type="purchase", timestamp=at, value=value, request_id=of)

    asked = {users[2]: "lamp"}
    for number, user in enumerate([*users[:4], "somebody new"]):
        query = asked.get(user)
        show(user, engine.recommend(Asked(user, limit=5, query=query)), query)
        at = moment + timedelta(hours=number)
        late = at - timedelta(days=20, seconds=1)
        log.append([buy(user, items[number], at, 2.5), buy(user, items[7], at), buy(user, items[9], late)])
        # The second names an answer that is shown only later, the third one of before the snapshot.
        named = zip(range(1, 4), ("request-1", "request-3", IMPORTED), strict=True)
        log.append([buy(user, items[at], moment, of=name) for at, name in named])
        show(user, engine.rank(Asked(user, query=query), items[:12]), query)
    added = ItemVersion("added", {"title": "a new lamp"})
    [sequence] = log.submit_items([added]).result()
    engine.apply_items([ItemChange(sequence, added, engine.encode_items([added])[0])])
    log.append([buy(users[0], "added", moment + timedelta(hours=9))])
    show(users[1], engine.rank(Asked(users[1]), ["added", *items[:3]]))


@pytest.fixture
def project(served: Path, tmp_path: Path) -> Workspace:
    copytree(served, tmp_path, dirs_exist_ok=True)
    return Workspace.open(tmp_path / "recsys.toml")


def differing(project: Workspace) -> set[str]:
    return {difference.what for difference in audit_parity(project, requests=50, seed=0).differences}


def test_what_was_served_is_what_training_computes(project):
    audited = audit_parity(project, requests=50, seed=0)
    assert [str(difference) for difference in audited.differences] == []
    assert (audited.replayed, dict(audited.skipped)) == (11, {})
    assert audited.values > 11 * 12 * 30


def test_what_was_shown_while_it_served_is_among_what_is_compared(project):
    names = open_bundle(next(project.bundles.glob("*/"))).manifest.features
    of_first_item = [request.features.matrix[0] for request in logged_requests(project.events)]
    for name in ("item_shown_7d", "item_ctr_purchase_28d"):
        assert len({float(row[names.index(name)]) for row in of_first_item}) > 3


def test_attributes_of_users_are_among_what_is_compared(project):
    names = open_bundle(next(project.bundles.glob("*/"))).manifest.features
    values: dict[str, set[tuple[float, ...]]] = {}
    for request in logged_requests(project.events):
        row = request.features.matrix[0]
        found = (row[names.index(name)] for name in ("user_country", "user_member_since_days"))
        values.setdefault(request.user_id, set()).add(tuple(float(value // 1) for value in found))
    # 2024-04-29 is 484 days after 2023-01-01, and 453 after the first of February; an hour later it is a day more.
    assert (values["user-00"], values["user-01"]) == ({(1, 484)}, {(0, 453), (0, 454)})


def test_as_many_requests_are_replayed_as_asked_for(project):
    assert audit_parity(project, requests=2, seed=0).replayed == 2


def test_a_feature_that_the_server_computes_otherwise_is_found(served, tmp_path, monkeypatch):
    # Planted: the server passes over the first of a user's recent events.
    right = live_behaviour.user_row_after
    monkeypatch.setattr(live_behaviour, "user_row_after", lambda row, events, since: right(row, events[1:], since))
    copytree(served, tmp_path, dirs_exist_ok=True)
    workspace = Workspace.open(tmp_path / "recsys.toml")
    workspace.events.unlink()
    pipeline = Pipeline(workspace, cut=workspace.config.split.test_start)
    users = pipeline.interactions["user_id"].unique().sort().to_list()
    with EventLog.open(workspace.events) as log:
        serve(load_engine(workspace), log, pipeline.catalogue.item_ids, users, pipeline.end)
    assert {"times_chosen", "user_distinct_items"} <= differing(workspace)


def test_a_snapshot_that_is_not_of_its_tables_is_found(project):
    path = project.table_path("interactions")
    pl.read_parquet(path).gather_every(2).write_parquet(path)
    assert {"item_users", "times_chosen", "cooccurrence_sum"} <= differing(project)


def test_the_command_says_what_differs_and_ends_with_1(project, tmp_path):
    def run(*options: str) -> Result:
        return CliRunner().invoke(parity, ["--config", str(project.root / "recsys.toml"), *options])

    done = run("--json", str(tmp_path / "parity.json"))
    assert (done.exit_code, done.stderr.count("difference: ")) == (0, 0)
    assert "11 requests replayed" in done.stdout
    assert json.loads((tmp_path / "parity.json").read_text())["replayed"] == 11
    path = project.table_path("interactions")
    pl.read_parquet(path).gather_every(2).write_parquet(path)
    done = run()
    assert done.exit_code == 1
    assert re.search(
        r"difference: item_users, .*: found [\d.]+, expected [\d.]+ \(in \d+ of 11 requests\)", done.stderr
    )
    users = pl.read_parquet(path)["user_id"].unique()
    assert not any(user in done.stderr for user in users)


def test_what_a_bundle_with_other_features_answered_is_counted(project, monkeypatch):
    monkeypatch.setattr(FeatureSet, "names", lambda *_: ("item_users", "one_that_came_later"))
    done = CliRunner().invoke(parity, ["--config", str(project.root / "recsys.toml")])
    assert "11 not replayed: their bundle has the features of another version or configuration\n" in done.stdout


def test_what_cannot_be_replayed_is_counted_and_nothing_at_all_is_no_proof(project):
    for folder in project.bundles.glob("*/"):
        rmtree(folder)
    done = CliRunner().invoke(parity, ["--config", str(project.root / "recsys.toml")])
    assert (done.exit_code, done.stdout) == (
        1,
        "0 requests replayed, 0 values compared\n11 not replayed: their bundle is no more\n",
    )
    project.events.unlink()
    done = CliRunner().invoke(parity, ["--config", str(project.root / "recsys.toml")])
    assert done.exit_code == 1
    assert "no request has its features logged yet; serving.logged_features_share" in done.stdout
