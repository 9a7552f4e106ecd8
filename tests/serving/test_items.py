"""What POST /v1/items and DELETE /v1/items/{item_id} answer, refuse and keep."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from serving.events import EventLog
from serving.service import Service
from serving.types import MAX_ENTRIES
from tests.serving.fake_engine import CONFIG, FakeEngine

ITEM = {"item_id": "g", "title": "Item g"}


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def service(log_path: Path, engine: FakeEngine) -> Iterator[Service]:
    with EventLog.open(log_path) as log:
        yield Service(log, CONFIG, engine)


def logged(path: Path) -> list[tuple[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT item_id, columns FROM items ORDER BY sequence").fetchall()
    return [(item_id, columns and json.loads(columns)) for item_id, columns in found]


def ranked(client: TestClient[Any], *candidates: str) -> tuple[list[str], list[str]]:
    """The candidates that are known, and those that are not."""
    body = client.post("/v1/rank", json={"user_id": "u", "candidates": candidates}).json()
    return [item["item_id"] for item in body["items"]], body["unknown"]


def test_a_new_item_is_on_the_disk_with_all_its_columns_and_ranked_by_the_next_request(client, engine, log_path):
    assert ranked(client, "g", "b") == (["b"], ["g"])
    columns = {"title": "Item g", "price": 2, "published_at": "2024-05-01T12:00:00Z", "tags": ["x"], "colour": "red"}
    answer = client.post("/v1/items", json={"item_id": "g"} | columns)
    assert (answer.status_code, answer.json()) == (200, {"results": [{"status": "stored", "item_id": "g"}]})
    assert logged(log_path) == [("g", columns)]
    (change,) = engine.changes
    assert (change.sequence, change.item.title, change.vector.tolist()) == (1, "Item g", [6])
    assert ranked(client, "g", "b") == (["b", "g"], [])


def test_a_bad_item_is_refused_with_its_path_and_the_good_ones_are_stored(client, log_path):
    next_week = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    sent = [
        ITEM,
        {"item_id": "h"},
        {"item_id": "", "title": "x"},
        {"item_id": "h", "title": None},
        {"item_id": "h", "title": "x", "price": "2"},
        {"item_id": "h", "title": "x", "updated_at": next_week},
        {"item_id": "h", "title": "x", "published_at": "2024-05-01T12:00:00"},
        7,
        {"item_id": "i", "title": ""},
    ]
    answer = client.post("/v1/items", json={"items": sent})
    assert answer.status_code == 200
    first, *bad, last = answer.json()["results"]
    assert (first, last) == ({"status": "stored", "item_id": "g"}, {"status": "stored", "item_id": "i"})
    expected = [
        ("$.items[1].title", "missing required field"),
        ("$.items[2].item_id", "length >= 1"),
        ("$.items[3].title", "got `null`"),
        ("$.items[4].price", "got `str`"),
        ("$.items[5].updated_at", "in the future; expected at most a day after"),
        ("$.items[6].published_at", "timezone"),
        ("$.items[7]", "Expected `object`, got `int`"),
    ]
    for result, (path, reason) in zip(bad, expected, strict=True):
        assert (result["status"], result["path"]) == ("refused", path)
        assert re.search(reason, result["reason"]), result["reason"]
    assert [item for item, _ in logged(log_path)] == ["g", "i"]


def test_items_that_are_all_refused_are_a_400_with_the_results(client, log_path):
    answer = client.post("/v1/items", json={"items": [{"item_id": "g"}, 7]})
    assert (answer.status_code, answer.json()["path"]) == (400, "$.items[0].title")
    assert "no item was stored" in answer.json()["detail"]
    assert [result["path"] for result in answer.json()["results"]] == ["$.items[0].title", "$.items[1]"]
    assert logged(log_path) == []


def test_items_of_the_future_are_a_422_and_a_400_beside_a_malformed_one(client, log_path):
    later = ITEM | {"updated_at": "2999-01-01T00:00:00Z"}
    answer = client.post("/v1/items", json=later)
    assert (answer.status_code, answer.json()["path"]) == (422, "$.updated_at")
    answer = client.post("/v1/items", json={"items": [later, 7]})
    assert (answer.status_code, answer.json()["path"]) == (400, "$.items[1]")
    assert [result["path"] for result in answer.json()["results"]] == ["$.items[0].updated_at", "$.items[1]"]
    assert logged(log_path) == []


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"items": []}, "$.items"),
        ({"items": [ITEM] * (MAX_ENTRIES + 1)}, "$.items"),
        ({"items": [ITEM], "a": 1}, "$.a"),
    ],
)
def test_a_batch_holds_one_item_to_the_maximum_and_nothing_beside_them(client, body, path):
    answer = client.post("/v1/items", json=body)
    assert (answer.status_code, answer.json()["path"]) == (400, path)


def test_a_deleted_item_is_not_known_any_more_until_it_comes_back(client, log_path):
    answer = client.delete("/v1/items/b")
    assert (answer.status_code, answer.json()) == (200, {"status": "deleted", "item_id": "b"})
    assert ranked(client, "a", "b") == (["a"], ["b"])
    answer = client.delete("/v1/items/b")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    client.post("/v1/items", json={"item_id": "b", "title": "again"})
    assert ranked(client, "a", "b") == (["a", "b"], [])
    assert logged(log_path) == [("b", None), ("b", {"title": "again"})]


@pytest.mark.parametrize("item_id", ["a/b", "ü 🎄", "a?b", "a%2Fb", "%41", "..", "a//b/"])
def test_any_item_can_be_deleted_by_its_percent_encoded_id(client, engine, item_id):
    engine.catalogue.append(item_id)
    encoded = "".join(f"%{byte:02X}" for byte in item_id.encode())
    assert client.delete(f"/v1/items/{encoded}").json() == {"status": "deleted", "item_id": item_id}


def test_what_is_not_on_the_disk_is_not_followed(client, service, engine):
    service.event_log.close()
    for answer in (client.post("/v1/items", json=ITEM), client.delete("/v1/items/a")):
        assert answer.status_code == 503
        assert "send it again" in answer.json()["detail"]
    assert engine.changes == []


def test_items_wait_for_the_engine(client, service, log_path):
    service.engine = None
    assert client.post("/v1/items", json=ITEM).status_code == 503
    assert client.delete("/v1/items/a").status_code == 503
    assert logged(log_path) == []
