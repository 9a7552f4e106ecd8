"""What the gate hears of the answers that a server of a shop gave."""

from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

import msgspec
import polars as pl
import pytest

from features import snapshots
from recsys.workspace import Workspace
from serving.events import EventLog
from serving.types import Interaction
from tests.training.conftest import Evaluated, copy_of
from tests.training.served import SHARE, serve_answers, shift_feature
from training import parity
from training.parity import note_filling, parity_of_served
from training.pipeline import Pipeline
from training.publishing import publish_models

ANSWERS = 3


@pytest.fixture(scope="module")
def answered(evaluated: Evaluated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose server answered."""
    workspace = copy_of(evaluated, tmp_path_factory.mktemp("answered"))
    with (workspace.root / "recsys.toml").open("a") as file:
        file.write(SHARE)
    workspace = Workspace.open(workspace.root / "recsys.toml")
    publish_models(Pipeline(workspace, cut=evaluated.pipeline.cut), None)
    serve_answers(workspace, answers=ANSWERS)
    return workspace.root


@pytest.fixture
def shop(answered: Path, tmp_path: Path) -> Workspace:
    copytree(answered, tmp_path, dirs_exist_ok=True)
    return Workspace.open(tmp_path / "recsys.toml")


def import_more(workspace: Workspace) -> None:
    path = workspace.table_path("interactions")
    pl.read_parquet(path).gather_every(2).write_parquet(path)


def must_not_run(*_: object) -> None:
    raise AssertionError("replayed")


def test_answers_from_the_features_that_training_computes_differ_in_nothing(shop):
    found = parity_of_served(shop)
    assert (found.replayed, found.findings) == (ANSWERS, [])


def test_what_is_costly_is_computed_once_for_answers_between_which_something_happened(shop, monkeypatch):
    with EventLog.open(shop.events) as log:
        item = shop.read_table("items")["item_id"][0]
        log.append([Interaction(user_id="user-00", item_id=item, event_type="purchase", timestamp=datetime.now(UTC))])
    serve_answers(shop, answers=2)
    right, calls = snapshots.regression, []
    monkeypatch.setattr(snapshots, "regression", lambda *arguments: calls.append(arguments) or right(*arguments))
    found = parity_of_served(shop)
    assert (found.replayed, found.findings, len(calls)) == (ANSWERS + 2, [], 1)


def test_a_feature_that_was_served_otherwise_is_named_also_once_the_tables_have_changed(shop, monkeypatch):
    shift_feature(shop, "item_users")
    found = parity_of_served(shop)
    [line] = found.findings
    assert line.startswith("item_users, ")
    assert "(in 3 of 3 requests)" in line
    import_more(shop)
    monkeypatch.setattr(parity, "_audit", must_not_run)
    assert parity_of_served(shop) == found


def test_nothing_is_said_once_the_tables_have_changed_before_it_was_asked(shop, monkeypatch):
    import_more(shop)
    monkeypatch.setattr(parity, "_audit", must_not_run)
    assert parity_of_served(shop) is None


def test_what_was_found_of_an_earlier_filling_is_not_said_of_a_later_one(shop):
    shift_feature(shop, "item_users")
    parity_of_served(shop)
    pipeline = Pipeline(shop, cut=shop.config.split.test_start)
    pipeline.compute_features()
    pipeline.store.materialise(pipeline.end)
    # Filled by something that did not say from which tables.
    assert parity_of_served(shop) is None
    note_filling(shop, pipeline.store)
    found = parity_of_served(shop)
    assert (found.replayed, found.findings) == (0, [])


def test_nothing_is_replayed_where_that_is_switched_off(shop, monkeypatch):
    monkeypatch.setattr(parity, "_audit", must_not_run)
    off = msgspec.structs.replace(shop.config, gate=msgspec.structs.replace(shop.config.gate, audited_requests=0))
    assert parity_of_served(Workspace(shop.root, off)) is None


def test_of_a_project_that_was_never_trained_nothing_is_said(tmp_path, shop):
    assert parity_of_served(Workspace(tmp_path / "empty", shop.config)) is None
