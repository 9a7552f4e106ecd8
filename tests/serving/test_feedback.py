"""Events over HTTP: the good ones are kept, whatever stands beside them, and each is told what became of it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from serving.api import create_app
from serving.events import EventLog
from serving.service import Service
from tests.serving.fake_engine import CONFIG, FakeEngine

GOOD = {"user_id": "u", "item_id": "a", "event_type": "click", "event_id": "good"}
BAD: list[tuple[str, str, str]] = [
    ("5", "", "Expected `object`, got `int`"),
    ("null", "", "Expected `object`, got `null`"),
    ('"click"', "", "Expected `object`, got `str`"),
    ("[]", "", "Expected `object`, got `array`"),
    ("{}", ".user_id", "missing required field"),
    (json.dumps(GOOD | {"event_id": ""}), ".event_id", "length >= 1"),
    (json.dumps(GOOD | {"user_id": 7}), ".user_id", "Expected `str`, got `int`"),
    (json.dumps(GOOD | {"item_id": ["a"]}), ".item_id", "Expected `str`, got `array`"),
    (json.dumps(GOOD | {"timestamp": "2024-05-01T12:00:00"}), ".timestamp", "timezone"),
    (json.dumps(GOOD | {"timestamp": "2999-01-01T00:00:00Z"}), ".timestamp", "in the future"),
    (json.dumps(GOOD | {"value": "2.5"}), ".value", "Expected `float"),
    (json.dumps(GOOD | {"value": 0}).replace(" 0}", " 1e999}"), "", "Number out of range"),
    (json.dumps(GOOD | {"colour": "red"}), ".colour", "unknown field"),
    (json.dumps(GOOD | {"event_type": "swipe"}), ".event_type", "not an interaction type"),
    (json.dumps(GOOD).replace("good", "\\ud800"), "", "expected JSON"),
    (json.dumps(GOOD | {"value": float("nan")}), "", "expected JSON"),
    (json.dumps(GOOD | {"query": []}).replace("[]", "[" * 900 + "]" * 900), ".query", "Expected `str"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
def client(path: Path) -> Iterator[TestClient[Litestar]]:
    with EventLog.open(path) as log, TestClient(create_app(Service(log, CONFIG, FakeEngine()))) as client:
        yield client


def stored(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as log:
        return [event for (event,) in log.execute("SELECT event_id FROM interactions ORDER BY sequence")]


def post(client: TestClient[Litestar], *events: str) -> list[dict[str, Any]]:
    answer = client.post("/v1/events", content=f'{{"events": [{", ".join(events)}]}}'.encode())
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


@pytest.mark.parametrize(("bad", "field", "reason"), BAD, ids=[f"{at}" for at in range(len(BAD))])
def test_a_bad_event_is_refused_by_its_place_and_the_good_ones_around_it_are_kept(client, path, bad, field, reason):
    before, refused, after = post(client, json.dumps(GOOD | {"event_id": "1"}), bad, json.dumps(GOOD))
    assert (before["status"], after["status"]) == ("stored", "stored")
    assert refused["status"] == "refused"
    assert refused["path"].startswith(f"$.events[1]{field}")
    assert reason in refused["reason"]
    assert stored(path) == ["1", "good"]


def test_all_kinds_of_bad_events_at_once_do_not_cost_the_one_good_one(client, path):
    results = post(client, *(bad for bad, _, _ in BAD), json.dumps(GOOD))
    assert [result["status"] for result in results] == ["refused"] * len(BAD) + ["stored"]
    assert stored(path) == ["good"]


def test_an_event_that_is_sent_again_is_a_duplicate_in_one_request_and_in_the_next(client, path):
    body = json.dumps(GOOD)
    assert [result["status"] for result in post(client, body, body)] == ["stored", "duplicate"]
    assert [result["status"] for result in post(client, body, json.dumps(GOOD | {"event_id": "2"}))] == [
        "duplicate",
        "stored",
    ]
    assert stored(path) == ["good", "2"]


def test_a_body_that_is_no_json_stores_nothing(client, path):
    good = json.dumps(GOOD)
    for body in (f'{{"events": [{good}, {{]}}', f'{{"events": [{good}', f'{{"events": [{good},]}}'):
        assert client.post("/v1/events", content=body.encode()).status_code == 400
    assert stored(path) == []
