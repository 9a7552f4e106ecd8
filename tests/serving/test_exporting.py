"""What the event log holds is in the exported files once, by day, whatever breaks off; an import reads it."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from recsys.config import load_config
from recsys.errors import DataError
from recsys.importing import import_tables
from recsys.workspace import Workspace
from serving.events import EventLog
from serving.export_folder import ExportFolder
from serving.exporting import export_command, export_log
from serving.item_types import ItemVersion
from serving.types import Impression, Interaction, ServedFeatures
from serving.user_types import UserVersion

ROOT = Path(__file__).parents[2]
MAY_1 = datetime(2024, 5, 1, 12, tzinfo=UTC)
MAY_2 = MAY_1 + timedelta(days=1)
TOML = """
name = "shop"
[source]
items = "items.csv"
interactions = "interactions.csv"
log = true
[columns.items]
title = "Name"
[columns.interactions]
user_id = "Customer"
[interaction_types]
click = { label = true }
[log]
retention_days = 1
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "recsys.toml").write_text(TOML)
    (tmp_path / "items.csv").write_text("item_id,Name\na,Apple\nb,Bread\n")
    (tmp_path / "interactions.csv").write_text("Customer,item_id,event_type,timestamp\nold,a,click,2024-04-01\n")
    return Workspace.open(tmp_path / "recsys.toml")


def click(event_id: str, at: datetime, **changes: Any) -> Interaction:
    fields = {"user_id": "u", "item_id": "a", "event_type": "click", "timestamp": at, "event_id": event_id}
    return Interaction(**fields | changes)


def shown(request_id: str, at: datetime, **changes: Any) -> Impression:
    fields = {"user_id": "u", "items": ["b", "a"], "surface": "home", "bundle": "first"}
    return Impression(request_id=request_id, timestamp=at, **fields | changes)


def files(workspace: Workspace, table: str) -> list[Path]:
    return sorted((workspace.exported / table).rglob("*.parquet"))


def exported(workspace: Workspace, table: str, column: str) -> dict[str, list[Any]]:
    """The values of a column by day, in the order of the files."""
    found: dict[str, list[Any]] = {}
    for file in files(workspace, table):
        found.setdefault(file.parent.name, []).extend(pl.read_parquet(file, hive_partitioning=False)[column].to_list())
    return found


def events(workspace: Workspace) -> list[str]:
    """The ids of all that was exported."""
    return [event for day in exported(workspace, "interactions", "event_id").values() for event in day]


def test_each_export_writes_what_is_new_to_the_day_that_it_belongs_to(workspace):
    with EventLog.open(workspace.events) as log:
        log.append([click("1", MAY_1), click("2", MAY_2), click("3", MAY_1)])
        assert export_log(workspace).rows["interactions"] == 3
        before = {path: path.read_bytes() for path in files(workspace, "interactions")}
        assert export_log(workspace).rows["interactions"] == 0
        log.append([click("late", MAY_1), click("1", MAY_1)])
        assert export_log(workspace).rows["interactions"] == 1
    assert exported(workspace, "interactions", "event_id") == {
        "day=2024-05-01": ["1", "3", "late"],
        "day=2024-05-02": ["2"],
    }
    assert {path: path.read_bytes() for path in before} == before, "no file is changed"
    assert len(files(workspace, "interactions")) == 3


def test_an_event_of_the_future_is_exported_at_the_time_of_its_arrival(workspace):
    ahead = datetime.now(UTC) + timedelta(hours=12)
    with EventLog.open(workspace.events) as log:
        log.append([click("1", ahead)])
    export_log(workspace)
    [rows] = [pl.read_parquet(file) for file in files(workspace, "interactions")]
    assert rows["timestamp"].to_list() == rows["received_at"].to_list()
    assert rows["timestamp"][0] < ahead - timedelta(hours=11)


def test_impressions_keep_their_order_propensities_bundle_and_the_features_that_were_logged(workspace):
    matrix = np.array([[1.5, np.nan], [2.5, 3.0], [0.0, 4.0]], dtype=np.float32)
    features = ServedFeatures(MAY_1, MAY_1, 0, 0, 0, ["a", "b", "c"], matrix)
    with EventLog.open(workspace.events) as log:
        log.show(shown("r1", MAY_1, propensities=[0.25, 0.75], query="bread"), features)
        log.show(shown("r2", MAY_1))
    export_log(workspace)
    [file] = files(workspace, "impressions")
    first, second = pl.read_parquet(file).to_dicts()
    assert (first["request_id"], first["items"], first["propensities"]) == ("r1", ["b", "a"], [0.25, 0.75])
    assert (first["surface"], first["bundle"], first["query"]) == ("home", "first", "bread")
    assert first["candidates"] == ["a", "b", "c"]
    np.testing.assert_array_equal(np.array(first["features"], dtype=np.float32), matrix)
    assert (second["propensities"], second["candidates"], second["features"]) == (None, None, None)


def test_an_import_reads_the_export_beside_the_files_of_the_source_under_their_names(workspace):
    with EventLog.open(workspace.events) as log:
        log.submit_items(
            [
                ItemVersion(
                    "c", {"title": "Cake", "price": 3, "colour": "red", "published_at": "2024-04-30T02:00+02:00"}
                ),
                ItemVersion("b", None),
            ]
        ).result()
        log.append([click("1", MAY_1, item_id="c", value=2.5, request_id="r1"), click("2", MAY_2)])
        log.show(shown("r1", MAY_1, propensities=[1.0, 0.5]))
    export_log(workspace)
    import_tables(workspace)
    items = workspace.read_table("items")
    cake = items.filter(item_id="c").row(0, named=True)
    assert (cake["title"], cake["price"], cake["colour"]) == ("Cake", 3.0, "red")
    assert cake["published_at"] == datetime(2024, 4, 30, tzinfo=UTC)
    # That an item was deleted is known to servers alone, from the log.
    assert items["item_id"].to_list() == ["a", "b", "c"]
    interactions = workspace.read_table("interactions")
    assert interactions["user_id"].to_list() == ["old", "u", "u"]
    assert interactions["event_id"].to_list()[1:] == ["1", "2"]
    assert interactions["value"].to_list() == [None, 2.5, None]
    impressions = workspace.read_impressions()
    assert impressions is not None
    assert impressions.select("request_id", "items", "propensities", "bundle").rows() == [
        ("r1", ["b", "a"], [1.0, 0.5], "first")
    ]
    assert not (workspace.root / "quarantine").exists() or not list((workspace.root / "quarantine").iterdir())


def test_of_a_user_the_latest_version_of_the_log_takes_the_place_of_what_the_source_says(workspace):
    config = workspace.root / "recsys.toml"
    users = 'users = "users.csv"\n[columns.users]\nuser_id = "Customer"\n[columns.items]'
    config.write_text(TOML.replace("[columns.items]", users))
    workspace = Workspace.open(config)
    (workspace.root / "users.csv").write_text("Customer,country,age\nu,France,30\nold,Spain,41\ngone,Italy,25\n")
    with EventLog.open(workspace.events) as log:
        log.append([click("1", MAY_1)])
        log.submit_users([UserVersion("u", {"country": "Chad"}), UserVersion("gone", None)]).result()
        export_log(workspace)
        log.submit_users([UserVersion("u", {"country": "Norway"}), UserVersion("new", {"country": "Peru", "age": 7})])
    assert export_log(workspace).rows["users"] == 2
    assert import_tables(workspace).tables["users"].refused == {}
    users = workspace.read_table("users").select("user_id", "country", "age").sort("user_id")
    assert users.rows() == [("new", "Peru", 7), ("old", "Spain", 41), ("u", "Norway", None)]
    assert workspace.read_table("users").columns == ["user_id", "country", "age"]


def test_without_the_key_an_import_leaves_the_export_alone(workspace):
    with EventLog.open(workspace.events) as log:
        log.append([click("1", MAY_1)])
    export_log(workspace)
    path = workspace.root / "recsys.toml"
    path.write_text(TOML.replace("log = true\n", ""))
    import_tables(Workspace.open(path))
    assert workspace.read_table("interactions")["user_id"].to_list() == ["old"]


def test_an_export_that_dies_before_its_files_count_leaves_nothing_and_the_next_one_writes_all(workspace, monkeypatch):
    with EventLog.open(workspace.events) as log:
        log.append([click("1", MAY_1), click("2", MAY_2)])

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ExportFolder, "_save", die)
        with pytest.raises(KeyboardInterrupt):
            export_log(workspace)
    assert files(workspace, "interactions") == []
    with EventLog.open(workspace.events) as log:
        log.append([click("3", MAY_2)])
    assert export_log(workspace).rows["interactions"] == 3
    assert exported(workspace, "interactions", "event_id") == {"day=2024-05-01": ["1"], "day=2024-05-02": ["2", "3"]}
    assert not list(workspace.exported.rglob(".*"))


def test_an_export_that_dies_when_its_files_count_is_finished_by_the_next_one(workspace, monkeypatch):
    with EventLog.open(workspace.events) as log:
        log.append([click("1", MAY_1), click("2", MAY_2)])
    replace, names = os.replace, []

    def die_at_the_second_file(old: Path, new: Path) -> None:
        names.append(new.name)
        if len(names) == 3:  # _export.json, the first file, the second
            raise KeyboardInterrupt
        replace(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die_at_the_second_file)
        with pytest.raises(KeyboardInterrupt):
            export_log(workspace)
    assert len(files(workspace, "interactions")) == 1
    assert export_log(workspace).rows["interactions"] == 0
    assert events(workspace) == ["1", "2"]


KILLED = """
import sys
from pathlib import Path
from recsys.workspace import Workspace
from serving import exported_rows
from serving.exporting import export_log
exported_rows.ROWS_AT_ONCE["interactions"] = 50
print("begins", flush=True)
export_log(Workspace.open(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("pause_s", [0.0, 0.02, 0.05, 0.1])
def test_an_export_that_is_killed_costs_no_row_and_writes_none_twice(workspace, pause_s):
    ids = [str(number) for number in range(3000)]
    with EventLog.open(workspace.events) as log:
        log.append([click(each, MAY_1 + timedelta(hours=int(each) % 100)) for each in ids])
    command = [sys.executable, "-c", KILLED, str(workspace.root / "recsys.toml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(pause_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    visible = events(workspace)
    assert len(visible) == len(set(visible))
    export_log(workspace)
    found = events(workspace)
    assert sorted(found, key=int) == ids


def test_a_log_in_the_place_of_a_removed_one_is_exported_from_its_beginning(workspace):
    for event_id in ("1", "2"):
        with EventLog.open(workspace.events) as log:
            log.append([click(event_id, MAY_1)])
        export_log(workspace)
        workspace.events.unlink()
    assert exported(workspace, "interactions", "event_id").keys() == {"day=2024-05-01"}
    assert sorted(*exported(workspace, "interactions", "event_id").values()) == ["1", "2"]


def test_a_log_that_ends_before_what_was_exported_of_it_is_an_older_copy(workspace):
    with EventLog.open(workspace.events) as log:
        log.append([click("1", MAY_1)])
    old = workspace.events.read_bytes()
    with EventLog.open(workspace.events) as log:
        log.append([click("2", MAY_1)])
    export_log(workspace)
    workspace.events.write_bytes(old)
    with pytest.raises(DataError, match="interactions ends at row 1, but 2 rows were exported; was an older copy"):
        export_log(workspace)


def test_the_command_says_what_it_wrote_and_where_there_is_nothing_to_export(workspace):
    config = str(workspace.root / "recsys.toml")
    run = CliRunner().invoke(export_command, ["--config", config])
    assert isinstance(run.exception, DataError)
    assert "there is no event log yet" in str(run.exception)
    with EventLog.open(workspace.events) as log:
        log.append([click("1", MAY_1)])
    run = CliRunner().invoke(export_command, ["--config", config])
    assert run.output == "exported 1 interactions, 0 impressions, 0 items, 0 users into 1 files\n"


def test_the_configuration_names_the_folder(workspace):
    path = workspace.root / "recsys.toml"
    path.write_text(TOML + 'folder = "elsewhere"\n')
    assert load_config(path).log.folder == "elsewhere"
    with EventLog.open(workspace.events) as log:
        log.append([click("1", MAY_1)])
    export_log(Workspace.open(path))
    assert len(list((workspace.root / "elsewhere").rglob("*.parquet"))) == 1
