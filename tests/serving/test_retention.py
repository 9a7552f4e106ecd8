"""What is old and exported leaves the event log; what anybody may still need stays."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from recsys.errors import FeatureStoreError
from recsys.workspace import Workspace
from serving import exporting
from serving.event_tables import connect
from serving.events import EventLog
from serving.item_table import latest_items
from serving.item_types import ItemVersion
from serving.recent_log import RecentLog
from serving.retention import forget
from serving.types import Impression, ServedFeatures, ShadowList
from serving.user_types import UserVersion
from tests.serving.logged import rows
from tests.serving.test_events import click

NOW = datetime.now(UTC)
LATER = NOW + timedelta(hours=1)
"""All that these tests log is older."""
ALL = {"interactions": 10**9, "impressions": 10**9, "items": 10**9}
EVENTS = "SELECT event_id FROM interactions ORDER BY sequence"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
def log(path: Path) -> Iterator[EventLog]:
    with EventLog.open(path) as log:
        yield log


def forgotten(path: Path, before: datetime = LATER, **exported: int) -> int:
    with closing(connect(path)) as connection:
        return forget(connection, ALL | exported, before)


def shown(request_id: str) -> Impression:
    return Impression(request_id=request_id, user_id="u", timestamp=NOW, items=["a"], surface="home", bundle="first")


def show(log: EventLog, *impressions: tuple[str, ServedFeatures | None]) -> None:
    for request_id, features in impressions:
        log.show(shown(request_id), features)
    log.append([])  # What was put in before is written before.


def test_only_what_was_exported_goes(path, log):
    log.append([click("1"), click("2"), click("3")])
    show(log, ("r1", None), ("r2", None))
    assert forgotten(path, interactions=2, impressions=1) == 3
    assert rows(path, EVENTS) == [("3",)]
    assert rows(path, "SELECT request_id FROM impressions") == [("r2",)]


def test_only_what_was_received_before_the_moment_goes(path, log):
    log.append([click("1")])
    between = datetime.now(UTC)
    log.append([click("2", timestamp=NOW - timedelta(days=365))])
    assert forgotten(path, between) == 1
    assert rows(path, EVENTS) == [("2",)], "it came late, and is new here"


def test_a_reader_goes_on_when_all_that_it_has_seen_is_gone(path, log):
    reader = RecentLog(path)
    log.append([click("1"), click("2")])
    show(log, ("r1", None))
    assert [logged.event.place for logged in reader.after(0)] == [1, 2]
    assert forgotten(path) == 3
    assert list(reader.after(2)) == []
    log.append([click("3")])
    show(log, ("r2", None))
    assert [logged.event.place for logged in reader.after(2)] == [3]
    assert [logged.place for logged in reader.shown_after(1)] == [2]


def test_numbers_go_on_in_a_process_that_starts_when_all_rows_are_gone(path):
    with EventLog.open(path) as log:
        log.append([click("1"), click("2")])
    forgotten(path)
    with EventLog.open(path) as log:
        log.append([click("3")])
    assert rows(path, "SELECT sequence, event_id FROM interactions") == [(3, "3")]


def test_of_an_item_the_latest_version_stays_and_one_that_was_the_latest_until_a_moment_ago(path, log):
    for title in ("first", "second"):
        log.submit_items([ItemVersion("a", {"title": title}), ItemVersion("b", None)]).result()
    between = datetime.now(UTC)
    log.submit_items([ItemVersion("a", {"title": "third"})]).result()
    # What was answered just before needs the second version of a to be told again.
    assert forgotten(path, between) == 2
    assert rows(path, "SELECT item_id, columns FROM items ORDER BY sequence") == [
        ("a", '{"title":"second"}'),
        ("b", None),
        ("a", '{"title":"third"}'),
    ]
    assert forgotten(path) == 1
    assert {item.item_id: item.columns for _, item in latest_items(path)} == {"a": {"title": "third"}, "b": None}


def test_of_a_user_the_latest_version_stays(path, log):
    for country in ("Chad", "Peru", "Togo"):
        log.submit_users([UserVersion("u", {"country": country})]).result()
    assert forgotten(path, users=1) == 1
    assert forgotten(path, users=3) == 1
    assert rows(path, "SELECT user_id, columns FROM users") == [("u", '{"country":"Togo"}')]


def test_features_of_an_answer_go_when_what_it_was_made_from_may_be_gone(path, log):
    def features(as_of: datetime) -> ServedFeatures:
        return ServedFeatures(as_of, as_of, 0, 0, 0, ["a"], np.zeros((1, 2), np.float32))

    old, new = NOW - timedelta(days=2), NOW + timedelta(hours=2)
    show(log, ("old", features(old)), ("new", features(new)), ("not exported", features(old)))
    assert forgotten(path, NOW - timedelta(days=1), impressions=2) == 1
    assert rows(path, "SELECT request_id FROM features ORDER BY 1") == [("new",), ("not exported",)]
    assert len(rows(path, "SELECT 1 FROM impressions")) == 3, "they are newer"


def test_the_file_does_not_grow_when_as_much_goes_as_comes(path, log):
    sizes = []
    for turn in range(4):
        for batch in range(10):
            log.append([click(f"{turn}-{batch}-{number}", query="x" * 100) for number in range(500)])
        forgotten(path)
        with closing(connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        sizes.append(path.stat().st_size)
    assert sizes[-1] <= sizes[0] < 200_000, sizes
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_events_are_taken_while_old_ones_go(path, log):
    for batch in range(20):
        log.append([click(f"{batch}-{number}") for number in range(1000)])
    old = rows(path, "SELECT count(*) FROM interactions")[0][0]
    thread = Thread(target=forgotten, args=(path,), kwargs={"interactions": old})
    thread.start()
    seconds = []
    while thread.is_alive():
        started = time.perf_counter()
        log.append([click(f"new-{len(seconds)}")])
        seconds.append(time.perf_counter() - started)
    thread.join()
    assert len(seconds) > 20
    # Its own transactions take milliseconds; in one transaction it would be the whole second.
    assert sorted(seconds)[len(seconds) // 2] < 0.1
    assert rows(path, "SELECT count(*) FROM interactions") == [(len(seconds),)]


@pytest.mark.parametrize(
    ("as_of", "written_at", "expected"),
    [(-1, -1, -10), (-20, -1, -20), (-20, -30, -30)],
    ids=["retention", "snapshot", "filling"],
)
def test_what_the_snapshot_lacks_stays_however_old_it_is(tmp_path, monkeypatch, as_of, written_at, expected):
    store = SimpleNamespace(
        online_as_of=lambda: NOW + timedelta(days=as_of), online_written_at=lambda: NOW + timedelta(days=written_at)
    )
    monkeypatch.setattr("serving.exporting.OnlineBehaviour.of", lambda _: store)
    assert exporting._old_before(workspace(tmp_path, "retention_days = 10"), NOW) == NOW + timedelta(days=expected)


def test_without_a_snapshot_all_stays(tmp_path, monkeypatch):
    def empty() -> Any:
        raise FeatureStoreError("empty")

    store = SimpleNamespace(online_as_of=empty, online_written_at=empty)
    monkeypatch.setattr("serving.exporting.OnlineBehaviour.of", lambda _: store)
    assert exporting._old_before(workspace(tmp_path, ""), NOW) is None


def workspace(folder: Path, log: str) -> Workspace:
    path = folder / "recsys.toml"
    source = '[source]\ninteractions = "x.csv"\n[interaction_types]\nclick = { label = true }'
    path.write_text(f'name = "shop"\n{source}\n[log]\n{log}\n')
    return Workspace.open(path)


def test_an_old_list_of_a_shadow_goes_and_a_young_one_stays(path, log):
    for at in (NOW, LATER):
        log.show_shadow(
            ShadowList(request_id=f"{at}", experiment="e", variant="dark", bundle="b", timestamp=at, items=["a"])
        )
    log.append([])
    assert forgotten(path) == 1
    assert rows(path, "SELECT request_id FROM shadows") == [(f"{LATER}",)]
