"""Ten thousand bodies that were right until something happened to them: none is answered with a fault of the server."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from recsys.config import Config, InteractionType, Source
from serving.api import create_app
from serving.events import EventLog
from serving.service import Service
from tests.serving.made_bundle import made_engine

BODIES = 10_000
AT = "2024-03-01T12:00:00Z"
EVENT = {"event_id": "e1", "user_id": "fan", "item_id": "x1", "event_type": "click", "timestamp": AT, "value": 1.5}
ITEM = {"item_id": "new", "title": "red box", "category": "toys", "price": 2.5, "colour": "red"}
IMPRESSION = [{"id": "x1"}, {"id": "x2", "relevancy": 1.0}]
ROUTES: dict[str, Any] = {
    "/v1/rank": {"user_id": "fan", "candidates": ["x1", "x2"], "limit": 2, "query": "box", "deadline_ms": 50.0},
    "/v1/recommend": {
        "user_id": "fan", "limit": 3, "offset": 1, "exclude": ["x1"], "filter": "price < 3 and category == 'toys'",
        "exclude_seen": True, "surface": "default", "channels": ["popular"],
    },
    "/v1/events": {"events": [EVENT, EVENT | {"event_id": "e2", "timestamp": 1_709_294_400}]},
    "/v1/items": {"items": [ITEM]},
    "/v1/users": {"users": [{"user_id": "fan", "country": "DE", "age": 31}]},
    "/v1/explain": {"user_id": "fan", "items": ["x1", "x2"]},
    "/compat/metarank/rank/default": {
        "id": "r1", "timestamp": "1709294400000", "user": "fan", "session": "s", "fields": [], "items": IMPRESSION,
    },
    "/compat/metarank/feedback": {
        "event": "interaction", "type": "click", "id": "i1", "timestamp": "1709294400000", "ranking": "r1",
        "user": "fan", "session": "s", "item": "x1", "fields": [{"name": "price", "value": 1}],
    },
}  # fmt: skip
ODD: list[Any] = [
    None, True, 0, -1, 2**63, 2**70, -(2**70), 1e308, -0.0, 0.1, "", " ", "\x00", "\ud83d\ude00", "x" * 5000, "NaN",
    "' OR 1=1 --", "../../etc/passwd", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", [], {}, [[]], [None],
    {"": None}, ["x1"] * 2000, "price <", "price in (", "((((" * 500, "nobody", "%s%n", "\u202e",
]  # fmt: skip
RAW = (
    *(b"\xff", b"\x00", b"{", b"}", b"[" * 2000, b'"', b"\\u", b"\\ud800", b",", b"1e999", b"-", b"NaN"),
    # Half of a pair of surrogates.
    b"\xed\xa0\x80",
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something may happen: every value, however deep."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], change: Callable[[dict[Any, Any] | list[Any], Any], None]) -> Any:
    """A copy in which `change` was let loose on what holds the value at a path."""
    root = {"root": json.loads(json.dumps(value))}
    holder: Any = root
    for key in ("root", *path)[:-1]:
        holder = holder[key]
    change(holder, ("root", *path)[-1])
    return root.get("root")


def fuzzed(body: Any, draw: random.Random) -> bytes:
    """A body to which one to three things have happened: to its values, and in every third to its bytes."""
    for _ in range(draw.randint(1, 3)):

        def replace(holder: Any, key: Any) -> None:
            holder[key] = draw.choice(ODD)

        def remove(holder: Any, key: Any) -> None:
            del holder[key]

        def add(holder: Any, key: Any) -> None:
            if isinstance(holder, dict):
                holder[draw.choice(["extra", "user_id", "candidates", ""])] = draw.choice(ODD)
            else:
                holder.append(draw.choice(ODD))

        body = changed(body, draw.choice(places(body)), draw.choice([replace, replace, remove, add]))
    encoded = json.dumps(body).encode()
    if draw.random() < 1 / 3:
        for _ in range(draw.randint(1, 4)):
            start = draw.randrange(len(encoded) + 1)
            encoded = encoded[:start] + draw.choice(RAW) + encoded[start + draw.randrange(3) :]
        encoded = encoded[: draw.randrange(len(encoded))] if draw.random() < 0.2 else encoded
    return encoded


@pytest.fixture
def client(tmp_path: Path, made_scorer: Path):
    config = Config(
        name="made",
        source=Source(interactions="none"),
        interaction_types={"click": InteractionType(label=True), "buy": InteractionType(weight=3.0)},
    )
    engine = made_engine(tmp_path, made_scorer)
    with EventLog.open(tmp_path / "events.db") as log:
        app = create_app(Service(log, config, engine))
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client


def test_the_bodies_are_right_before_anything_happens_to_them(client):
    for route, body in ROUTES.items():
        answer = client.post(route, json=body)
        assert answer.status_code < 300, (route, answer.text)


def test_ten_thousand_fuzzed_bodies_are_answered_or_refused_and_no_answer_shows_a_traceback(client):
    draw = random.Random(0)  # noqa: S311
    statuses: dict[int, int] = {}
    for _ in range(BODIES):
        route = draw.choice(list(ROUTES))
        content = fuzzed(ROUTES[route], draw)
        answer = client.post(route, content=content, headers={"Content-Type": "application/json"})
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, (route, content[:500], answer.text)
        assert "Traceback" not in answer.text, (route, content[:500])
        assert 'File "' not in answer.text, (route, content[:500])
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"].startswith("application/problem+json"), (route, content[:500])
    print(statuses)
    # Some are still right, and most are not.
    assert statuses[200] > BODIES / 20
    assert statuses[400] > BODIES / 4
