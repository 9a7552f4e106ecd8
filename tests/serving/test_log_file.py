"""A log that cannot be written refuses what it cannot keep, and takes events again as soon as it can."""

import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from litestar.testing import TestClient

from serving.api import create_app
from serving.events import EventLog, NotStoredError
from serving.recent_log import RecentLog
from serving.service import Service
from serving.types import Impression
from tests.serving.fake_engine import CONFIG, FakeEngine
from tests.serving.logged import rows
from tests.serving.test_events import click

RANK = {"user_id": "u", "candidates": ["b", "a"]}
CLICK = {"user_id": "u", "item_id": "a", "event_type": "click"}
STORED = "SELECT event_id FROM interactions ORDER BY sequence"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@contextmanager
def no_file_grows_beyond(size: int) -> Iterator[None]:
    """What this process writes behind so many bytes of any file fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def shown(request_id: str) -> Impression:
    return Impression(
        request_id=request_id, user_id="u", timestamp=datetime.now(UTC), items=["a"], surface="rank", bundle="made"
    )


def until(condition: Callable[[], bool]) -> None:
    """The log writes in a thread of its own: what was put into it last is done when this is."""
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to be")


def test_a_full_disk_refuses_events_and_the_log_goes_on_when_there_is_room_again(path, caplog):
    with EventLog.open(path) as log:
        log.append([click("before")])
        with no_file_grows_beyond(path.stat().st_size // 2):
            for _ in range(2):
                with pytest.raises(NotStoredError, match="nothing was stored, send it again later"):
                    log.append([click("refused")])
            assert log.failing
        assert log.append([click("refused"), click("after")]) == [("refused", False), ("after", False)]
        assert not log.failing
    assert rows(path, STORED) == [("before",), ("refused",), ("after",)]
    # Once when it begins and once when it ends, not for every event.
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the event log cannot be written",
        "the event log can be written again",
    ]


def test_a_disk_that_is_full_lets_the_server_rank_and_say_so_and_recovers_without_a_restart(path):
    with EventLog.open(path) as log, TestClient(create_app(Service(log, CONFIG, FakeEngine()))) as client:
        with no_file_grows_beyond(path.stat().st_size // 2):
            refused = client.post("/v1/events", json=CLICK)
            assert refused.status_code == 503
            assert refused.headers["Content-Type"] == "application/problem+json"
            assert int(refused.headers["Retry-After"]) >= 1
            for _ in range(3):
                assert client.post("/v1/rank", json=RANK).status_code == 200
            until(lambda: log.dropped == 3)
            metrics = client.get("/metrics").text
            assert "recsys_event_log_failing 1.0" in metrics
            assert "recsys_impressions_dropped_total 3.0" in metrics
        assert client.post("/v1/events", json=CLICK).status_code == 200
        assert client.post("/v1/rank", json=RANK).status_code == 200
        assert "recsys_event_log_failing 0.0" in client.get("/metrics").text
    assert rows(path, "SELECT (SELECT count(*) FROM interactions), (SELECT count(*) FROM impressions)") == [(1, 1)]


def test_a_disk_that_really_fills_up_costs_no_acknowledged_event(small_disk):
    path = small_disk / "events.db"
    acknowledged: list[str] = []
    with EventLog.open(path) as log:
        with pytest.raises(NotStoredError):  # noqa: PT012  # some are stored before it is full
            for number in range(100_000):
                acknowledged += [each.event_id for each in log.append([click(f"{number}-{n}") for n in range(50)])]
        with pytest.raises(NotStoredError):
            log.append([click(f"more-{n}") for n in range(2000)])
        assert len(acknowledged) > 50
    assert [event for (event,) in rows(path, STORED)] == acknowledged


def test_a_disk_that_was_filled_by_others_takes_events_again_when_they_leave(small_disk):
    path, filler = small_disk / "events.db", small_disk / "filler"
    with EventLog.open(path) as log:
        log.append([click("before")])
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        # What the log wrote before it may write again: so many need more.
        with pytest.raises(NotStoredError):
            log.append([click(f"refused-{n}") for n in range(5000)])
        assert log.failing
        filler.unlink()
        log.append([click("after")])
        assert not log.failing
    assert rows(path, STORED)[-1] == ("after",)
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_an_event_is_not_acknowledged_into_a_file_that_was_removed(path):
    with EventLog.open(path) as log:
        log.append([click("gone")])
        for file in path.parent.glob("events.db*"):
            file.unlink()
        with pytest.raises(NotStoredError):
            log.append([click("sent again")])
        assert log.append([click("sent again")]) == [("sent again", False)]
    assert rows(path, STORED) == [("sent again",)]


def test_readers_go_on_in_the_log_that_takes_the_place_of_a_removed_one(path):
    reader = RecentLog(path)
    with EventLog.open(path) as log:
        log.append([click("1"), click("2")])
        seen = [logged.event.place for logged in reader.after(0)]
        assert seen == [1, 2]
        for file in path.parent.glob("events.db*"):
            file.unlink()
        assert list(reader.after(2)) == []
        with pytest.raises(NotStoredError):
            log.append([click("3")])
        log.append([click("3")])
        log.show(shown("r"))
        log.append([click("4")])
        assert [logged.event.place for logged in reader.after(2)] == [3, 4]
        assert [logged.request_id for logged in reader.shown_after(0)] == ["r"]


def test_what_was_acknowledged_survives_when_the_file_of_the_latest_writes_is_removed(path):
    with EventLog.open(path) as log:
        log.append([click("acknowledged")])
        Path(f"{path}-wal").unlink()
        with pytest.raises(NotStoredError):
            log.append([click("not yet")])
        # It was in the log all the same, as after an answer that got lost on its way.
        assert log.append([click("not yet"), click("new")]) == [("not yet", True), ("new", False)]
    assert rows(path, STORED) == [("acknowledged",), ("not yet",), ("new",)]


def test_a_folder_that_is_away_for_a_while_costs_nothing_that_was_acknowledged(tmp_path):
    folder, away = tmp_path / "volume", tmp_path / "away"
    folder.mkdir()
    with EventLog.open(folder / "events.db") as log:
        log.append([click("before")])
        folder.rename(away)
        for _ in range(2):
            with pytest.raises(NotStoredError):
                log.append([click("meanwhile")])
        away.rename(folder)
        log.append([click("after")])
    assert {event for (event,) in rows(folder / "events.db", STORED)} >= {"before", "after"}


def test_one_request_that_the_log_cannot_take_does_not_cost_the_others_of_its_transaction(path):
    with EventLog.open(path) as log, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # so that the three wait, and are written together
        first = log.submit([click("first")])
        bad, good = log.submit([click("\ud800")]), log.submit([click("good")])
        other.execute("COMMIT")
        assert first.result() == [("first", False)]
        assert good.result() == [("good", False)]
        with pytest.raises(NotStoredError):
            bad.result()
        assert not log.failing
    assert rows(path, STORED) == [("first",), ("good",)]
