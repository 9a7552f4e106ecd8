"""A server that begins on a full disk: it answers, says what it goes without, and goes on when there is room."""

from contextlib import closing
from pathlib import Path

import pytest
from litestar.testing import TestClient

from features.packed.sqlite_reading import open_to_read
from recsys.online_address import SQLITE
from serving.api import create_app
from serving.asked import Asked
from serving.events import EventLog
from serving.item_table import latest_items
from serving.item_types import ItemVersion
from serving.log_file import FileToRead
from serving.service import Service
from tests.serving.fake_engine import CONFIG
from tests.serving.logged import rows
from tests.serving.made_bundle import made_engine
from tests.serving.test_engine_online_store import filled
from tests.serving.test_events import click
from tests.serving.test_log_file import shown, until

RANK = {"user_id": "fan", "candidates": ["x1", "p1", "a2"]}
CLICK = {"user_id": "fan", "item_id": "p1", "event_type": "click", "event_id": "sent again"}
LOST = "impressions: error"


@pytest.fixture
def path(small_disk: Path) -> Path:
    return small_disk / "events.db"


def no_log(path: Path) -> None:
    assert not path.exists()


def log_of_a_server_that_stopped(path: Path) -> None:
    """It knows of a click, of an item that was taken out and of one that was added."""
    with EventLog.open(path) as log:
        log.append([click("before")])
        log.submit_items([ItemVersion("x9", None), ItemVersion("new", {"title": "pear"})]).result()
    assert not Path(f"{path}-wal").exists()


def log_of_a_server_that_was_killed(path: Path) -> None:
    """The same, of which all is in the file of the latest writes."""
    log_of_a_server_that_stopped(path)
    files = {}
    with EventLog.open(path) as log:
        log.append([click("last")])
        files = {file: file.read_bytes() for file in path.parent.glob("events.db*")}
    for file, content in files.items():
        file.write_bytes(content)
    assert Path(f"{path}-wal").stat().st_size > 0


@pytest.mark.parametrize("log_before", [no_log, log_of_a_server_that_stopped, log_of_a_server_that_was_killed])
def test_a_server_that_begins_on_a_full_disk_answers_refuses_events_and_goes_on_when_there_is_room(
    tmp_path, made_scorer, path, fill, caplog, log_before
):
    log_before(path)
    before = rows(path, "SELECT event_id FROM interactions ORDER BY sequence") if path.exists() else []
    store = filled(path.parent / "features", SQLITE)
    store._online.close()
    filler = fill()
    engine = made_engine(tmp_path, made_scorer, store, events=path)
    with EventLog.open(path) as log, TestClient(create_app(Service(log, CONFIG, engine))) as client:

        def rank() -> tuple[str, list[str]]:
            """The best item, and what the answer goes without."""
            answer = client.post("/v1/rank", json=RANK)
            assert answer.status_code == 200
            assert len(answer.json()["items"]) == 3
            return answer.json()["items"][0]["item_id"], answer.json()["degraded"]

        # A log that is there can be opened, and fails when it is written.
        refused = client.post("/v1/events", json=CLICK)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert rank() == ("a2", [LOST])
        recommended = client.post("/v1/recommend", json={"user_id": "fan", "limit": 2})
        assert (recommended.status_code, len(recommended.json()["items"])) == (200, 2)
        assert recommended.json()["degraded"] == [LOST]
        until(lambda: log.dropped == 2)
        metrics = client.get("/metrics").text
        assert "recsys_event_log_failing 1.0" in metrics
        assert "recsys_impressions_dropped_total 2.0" in metrics

        filler.unlink()
        assert client.post("/v1/events", json=CLICK).json()["results"][0]["status"] == "stored"
        assert not log.failing
        followed = engine.freshness().events
        assert followed == len(before) + 1
        # What was acknowledged is known to the next answer.
        assert rank() == ("p1", [])
    assert rows(path, "SELECT event_id FROM interactions ORDER BY sequence") == [*before, ("sent again",)]
    assert rows(path, "SELECT count(*) FROM impressions") == [(1,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    said = [record.getMessage() for record in caplog.records if "event log" in record.getMessage()]
    assert [line.partition(":")[0] for line in said] == [
        "the event log cannot be written",
        "the event log can be written again",
    ]


def test_items_of_the_log_are_encoded_where_a_full_disk_has_no_room_for_the_cache_of_their_vectors(
    tmp_path, made_scorer, path, fill, caplog
):
    log_of_a_server_that_stopped(path)
    engine = made_engine(tmp_path, made_scorer, events=path)
    fill()
    engine.replay(latest_items(path), path.parent / "embeddings.db")
    assert "embeddings.db: database or disk is full" in caplog.text
    found = engine.rank(Asked("anybody", query="pear"), ["x9", "a1", "new"])
    assert ([item.item_id for item in found.items], found.unknown) == (["new", "a1"], ["x9"])


def test_a_log_that_cannot_be_made_is_no_log_to_its_readers_until_it_is_made(path, fill):
    filler, reader = fill(), FileToRead(path)
    with EventLog.open(path) as log:
        assert log.failing
        assert reader.connection() is None
        filler.unlink()
        log.append([click("first")])
        assert reader.connection().execute("SELECT event_id FROM interactions ORDER BY sequence").fetchall() == [
            ("first",)
        ]


def test_a_full_disk_hides_no_item_that_was_added_and_shows_none_that_was_taken_out(path, fill):
    log_of_a_server_that_stopped(path)
    fill()
    assert {item.item_id: item.columns is None for _, item in latest_items(path)} == {"x9": True, "new": False}


def test_what_is_written_after_a_disk_was_full_is_read_by_who_read_the_log_before(path, fill):
    log_of_a_server_that_stopped(path)
    filler, reader, events = fill(), FileToRead(path), "SELECT event_id FROM interactions ORDER BY sequence"
    opened = open_to_read(path)
    assert opened.is_still
    opened.connection.close()
    assert reader.connection().execute(events).fetchall() == [("before",)]
    filler.unlink()
    with EventLog.open(path) as log:
        log.append([click("after")])
        assert reader.connection().execute(events).fetchall() == [("before",), ("after",)]
        log.show(shown("r"))
    with closing(open_to_read(path).connection) as connection:
        assert connection.execute("SELECT request_id FROM impressions").fetchall() == [("r",)]
