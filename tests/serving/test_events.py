"""An acknowledged event is in the log exactly once, whatever happens to the process."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from recsys.errors import DataError
from serving.event_tables import connect
from serving.events import MAX_WAITING_JOBS, EventLog, NotStoredError
from serving.feature_table import FEATURES_TABLE
from serving.item_table import latest_items
from serving.item_types import ItemVersion
from serving.types import Impression, Interaction, ShadowList, ShownExperiment
from tests.serving.logged import rows

ROOT = Path(__file__).parents[2]


def click(event_id: str | None, **changes: Any) -> Interaction:
    return Interaction(**{"user_id": "u", "item_id": "i", "event_type": "click", "event_id": event_id} | changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


def test_an_event_is_stored_with_every_field(path):
    happened = datetime(2011, 12, 9, 12, 50, tzinfo=timezone(timedelta(hours=1)))
    with EventLog.open(path) as log:
        acknowledged = log.append([click("e1", timestamp=happened, request_id="r1", value=2.5)])
        assert acknowledged == [("e1", False)]
    query = "SELECT event_id, user_id, item_id, event_type, timestamp, request_id, value FROM interactions"
    # 2011-12-09 11:50 UTC is 1,323,431,400 seconds after 1970.
    assert rows(path, query) == [("e1", "u", "i", "click", 1_323_431_400_000_000, "r1", 2.5)]


def test_an_event_without_id_and_time_gets_a_new_id_and_the_time_of_its_arrival(path):
    with EventLog.open(path) as log:
        first, second = log.append([click(None), click(None)])
    assert first.event_id != second.event_id
    assert rows(path, "SELECT count(*) FROM interactions WHERE timestamp = received_at") == [(2,)]


def test_a_repeated_event_is_acknowledged_as_a_duplicate_and_stored_once(path):
    with EventLog.open(path) as log:
        assert log.append([click("a"), click("b"), click("a")]) == [("a", False), ("b", False), ("a", True)]
    with EventLog.open(path) as log:
        assert log.append([click("b", item_id="other"), click("c")]) == [("b", True), ("c", False)]
    assert rows(path, "SELECT event_id, item_id FROM interactions") == [("a", "i"), ("b", "i"), ("c", "i")]


def test_the_log_flushes_the_disk_with_every_commit(path):
    with closing(connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_an_impression_is_stored_in_the_order_shown_and_once_a_request(path):
    shown = Impression(
        request_id="r1",
        user_id="u",
        timestamp=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
        items=["b", 'quote"', "a"],
        surface="rank",
        bundle="first",
    )
    with EventLog.open(path) as log:
        log.show(shown)
        log.show(shown)
    query = "SELECT request_id, user_id, timestamp, items, surface, bundle FROM impressions"
    assert rows(path, query) == [("r1", "u", 1_000_000, '["b","quote\\"","a"]', "rank", "first")]


def stored_within(path: Path, seconds: float, *, least: int = 1) -> int:
    """How many impressions the log has, once it has so many, or after so many seconds."""
    end = time.monotonic() + seconds
    while (found := rows(path, "SELECT count(*) FROM impressions")[0][0]) < least and time.monotonic() < end:
        time.sleep(0.01)
    return int(found)


def shown(request_id: str) -> Impression:
    moment = datetime.now(UTC)
    return Impression(request_id=request_id, user_id="u", timestamp=moment, items=["i"], surface="rank", bundle="b")


def test_what_was_shown_is_written_together_and_soon_though_nobody_waits_for_it(path, monkeypatch):
    monkeypatch.setattr("serving.events.SHOWN_WITHIN_S", 0.3)
    with EventLog.open(path) as log:
        for number in range(300):
            log.show(shown(f"r{number}"))
        assert log.waiting >= 300
        assert stored_within(path, 0.1) == 0
        assert stored_within(path, 10) >= 256
        log.show(shown("later"))
        assert stored_within(path, 10, least=301) == 301


def test_an_event_takes_what_was_shown_before_it_along_and_a_log_that_is_closed_all_of_it(path, monkeypatch):
    monkeypatch.setattr("serving.events.SHOWN_WITHIN_S", 60.0)
    with EventLog.open(path) as log:
        log.show(shown("r1"))
        log.append([click("e", request_id="r1")])
        assert rows(path, "SELECT request_id FROM impressions") == [("r1",)]
        log.show(shown("r2"))
    assert rows(path, "SELECT request_id FROM impressions") == [("r1",), ("r2",)]


def test_propensities_are_kept_beside_the_items_where_places_were_given_by_chance(path):
    now = datetime.now(UTC)
    for request_id, propensities in (("drawn", [0.25, 1.0]), ("sure", None)):
        with EventLog.open(path) as log:
            log.show(
                Impression(
                    request_id=request_id,
                    user_id="u",
                    timestamp=now,
                    items=["a", "b"],
                    surface="home",
                    bundle="first",
                    propensities=propensities,
                )
            )
    assert rows(path, "SELECT request_id, propensities FROM impressions") == [("drawn", "[0.25,1.0]"), ("sure", None)]


def test_an_impression_keeps_the_experiment_that_it_is_a_part_of_and_whose_each_item_is(path):
    now = datetime.now(UTC)
    fields = {"user_id": "u", "timestamp": now, "items": ["a", "b"], "surface": "home", "bundle": "b1+b2"}
    with EventLog.open(path) as log:
        log.show(Impression(request_id="split", experiment=ShownExperiment("e", "new"), **fields))
        log.show(Impression(request_id="mix", experiment=ShownExperiment("m", None), teams=["x", "y"], **fields))
    assert rows(path, "SELECT request_id, experiment, variant, teams FROM impressions") == [
        ("split", "e", "new", None),
        ("mix", "m", None, '["x","y"]'),
    ]


def test_what_a_shadow_would_have_shown_is_logged_once_and_is_no_impression(path):
    shadow = ShadowList(request_id="r", experiment="e", variant="dark", bundle="b2", items=["a"], took_ms=2.5)
    with EventLog.open(path) as log:
        log.show_shadow(shadow)
        log.show_shadow(shadow)
    columns = "request_id, experiment, variant, bundle, items, took_ms"
    assert rows(path, f"SELECT {columns} FROM shadows") == [("r", "e", "dark", "b2", '["a"]', 2.5)]
    assert rows(path, "SELECT count(*) FROM impressions") == [(0,)]


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_a_log_of_an_earlier_format_takes_propensities(path, version):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FORMAT_1)
        for table in ("interactions", "impressions"):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN query TEXT")
        if version >= 3:
            columns = FEATURES_TABLE if version >= 4 else FEATURES_TABLE.rpartition(",")[0] + ") STRICT"
            connection.execute(columns)
        if version == 5:
            connection.execute("ALTER TABLE impressions ADD COLUMN propensities TEXT")
        connection.execute(f"PRAGMA user_version = {version}")
    for _ in range(2):
        EventLog.open(path).close()
    assert rows(path, "SELECT request_id, propensities, experiment, teams FROM impressions") == [
        ("r0", None, None, None)
    ]
    assert rows(path, "PRAGMA user_version") == [(6,)]


def test_a_batch_that_fails_in_the_middle_is_not_stored_and_the_log_goes_on(path):
    lone_surrogate = "\ud800"  # SQLite takes no text that is not Unicode; bodies with one are refused before
    with EventLog.open(path) as log:
        with pytest.raises(NotStoredError, match="nothing was stored, send it again later"):
            log.append([click("a"), click(lone_surrogate)])
        assert log.append([click("a")]) == [("a", False)]
    assert rows(path, "SELECT event_id FROM interactions") == [("a",)]


def test_a_cancelled_append_neither_stores_nor_stops_the_log(path):
    with EventLog.open(path) as log, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the writing thread waits with the first event
        first = log.submit([click("first")])
        while not first.running():
            time.sleep(0.001)
        assert log.submit([click("cancelled")]).cancel()
        other.execute("COMMIT")
        assert log.append([click("last")]) == [("last", False)]
    assert rows(path, "SELECT event_id FROM interactions") == [("first",), ("last",)]


def test_impressions_are_dropped_when_the_disk_cannot_keep_up_and_events_are_not(path, caplog):
    shown = Impression(request_id="", user_id="u", timestamp=datetime.now(UTC), items=[], surface="", bundle="")
    with EventLog.open(path) as log, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = [log.submit([click(str(number))]) for number in range(MAX_WAITING_JOBS + 300)]
        log.show(shown)
        assert [record.getMessage() for record in caplog.records] == [
            "the event log is closed or cannot keep up: an impression was dropped"
        ]
        other.execute("COMMIT")
        assert [future.result()[0].duplicate for future in waiting] == [False] * len(waiting)
    assert rows(path, "SELECT count(*) FROM impressions") == [(0,)]


def test_a_closed_log_refuses_events_instead_of_letting_them_wait_for_ever(path):
    log = EventLog.open(path)
    log.close()
    log.close()
    with pytest.raises(NotStoredError, match="the event log is closed"):
        log.append([click("a")])


def test_a_file_that_is_no_event_log_is_refused_with_its_name(tmp_path):
    (tmp_path / "notes.txt").write_text("not a database, and longer than a header " * 100)
    with pytest.raises(DataError, match=r"notes\.txt: file is not a database; expected an event log"):
        EventLog.open(tmp_path / "notes.txt")
    with pytest.raises(DataError, match="unable to open database file; the folder must exist"):
        EventLog.open(tmp_path / "missing" / "events.db")


def test_a_log_of_a_later_format_is_left_alone(path):
    EventLog.open(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(DataError, match="has format 9, this recsys writes 6"):
        EventLog.open(path)


FORMAT_1 = """
CREATE TABLE interactions (
    sequence INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, item_id TEXT NOT NULL,
    event_type TEXT NOT NULL, timestamp INTEGER NOT NULL, request_id TEXT, value REAL,
    received_at INTEGER NOT NULL) STRICT;
CREATE TABLE impressions (
    sequence INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL,
    timestamp INTEGER NOT NULL, items TEXT NOT NULL, surface TEXT NOT NULL, bundle TEXT NOT NULL) STRICT;
INSERT INTO interactions VALUES (1, 'old', 'u', 'i', 'click', 5, NULL, NULL, 6);
INSERT INTO impressions VALUES (1, 'r0', 'u', 5, '["a"]', 'rank', 'first');
PRAGMA user_version = 1;
"""


def test_a_log_of_the_first_format_keeps_its_rows_and_takes_queries_and_items_from_then_on(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FORMAT_1)
    shown = Impression(
        request_id="r1", user_id="u", timestamp=datetime.now(UTC), items=[], surface="", bundle="", query="red apple"
    )
    for event_id in ("new", "newer"):
        with EventLog.open(path) as log:
            log.append([click(event_id, query="apple")])
            log.show(shown)
            log.submit_items([ItemVersion("i", {"title": "Apple"})]).result()
    assert rows(path, "SELECT event_id, query FROM interactions") == [
        ("old", None),
        ("new", "apple"),
        ("newer", "apple"),
    ]
    assert rows(path, "SELECT request_id, query FROM impressions") == [("r0", None), ("r1", "red apple")]
    assert rows(path, "SELECT sequence, item_id, columns FROM items") == [
        (1, "i", '{"title":"Apple"}'),
        (2, "i", '{"title":"Apple"}'),
    ]
    assert rows(path, "PRAGMA user_version") == [(6,)]


def test_a_new_log_has_the_same_columns_as_one_that_was_brought_up_to_date(path, tmp_path):
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript(FORMAT_1)
    for log in (old, path):
        EventLog.open(log).close()
    for table in ("interactions", "impressions", "items"):
        query = f"SELECT name, type, \"notnull\" FROM pragma_table_info('{table}')"
        assert rows(old, query) == rows(path, query) != []


def test_the_latest_version_of_an_item_is_read_back_with_its_moment(path):
    EventLog.open(path).close()
    assert list(latest_items(path)) == []
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    with EventLog.open(path) as log:
        log.submit_items(
            [ItemVersion("a", {"title": "A", "price": 2.5}, noon), ItemVersion("b", {"title": "B"})]
        ).result()
        log.submit_items([ItemVersion("b", None, noon), ItemVersion("ü", {"title": "🎄"}, noon)]).result()
    assert list(latest_items(path)) == [
        (1, ItemVersion("a", {"title": "A", "price": 2.5}, noon)),
        (3, ItemVersion("b", None, noon)),
        (4, ItemVersion("ü", {"title": "🎄"}, noon)),
    ]


def test_many_threads_append_to_one_log(path):
    with EventLog.open(path) as log, ThreadPoolExecutor(8) as pool:
        for results in pool.map(lambda n: log.append([click(f"{n}"), click("shared")]), range(200)):
            assert len(results) == 2
    assert rows(path, "SELECT count(*), count(DISTINCT event_id) FROM interactions") == [(201, 201)]


APPENDING = """
import sys
from pathlib import Path
from serving.events import EventLog
from tests.serving.test_events import click

log, name = EventLog.open(Path(sys.argv[1])), sys.argv[2]
for number in range(int(sys.argv[3])):
    for event_id, _ in log.append([click(f"{name}-{number}-{part}") for part in range(3)]):
        print(event_id, flush=True)
"""


def appending(path: Path, name: str, batches: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", APPENDING, str(path), name, str(batches)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_several_processes_create_and_append_to_one_log(path):
    processes = [appending(path, name, 20) for name in "abc"]
    for process in processes:
        acknowledged, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert len(acknowledged.split()) == 60
    assert rows(path, "SELECT count(*) FROM interactions") == [(180,)]


def test_every_acknowledged_event_survives_sigkill_exactly_once(path):
    acknowledged: list[str] = []
    for pause_s in (0.0, 0.003, 0.01, 0.03, 0.06, 0.1):
        with appending(path, f"{pause_s}", 1_000_000) as process:
            assert process.stdout is not None
            acknowledged.append(process.stdout.readline().strip())
            killer = threading.Timer(pause_s, os.kill, (process.pid, signal.SIGKILL))
            killer.start()
            # A line that was cut off by the kill was not acknowledged in full.
            acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
            assert process.wait(10) == -signal.SIGKILL
            killer.join()
    stored = [event_id for (event_id,) in rows(path, "SELECT event_id FROM interactions")]
    assert len(acknowledged) > 6
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
