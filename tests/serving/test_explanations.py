"""Reasons over HTTP, of the bundle made by hand: tests.serving.made_bundle says what is in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from litestar.testing import TestClient

from recsys.bundle_files import RANKER_FILE
from recsys.config import Config, InteractionType, Serving, Source
from serving import explaining
from serving.api import create_app
from serving.asked import Asked
from serving.bundle_engine import BundleEngine
from serving.events import EventLog
from serving.service import Service
from tests.serving.made_bundle import TITLES, made_engine

CONFIG = Config(
    name="made",
    source=Source(interactions="none"),
    interaction_types={"click": InteractionType(label=True)},
    serving=Serving(deadline_ms=10_000),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, made_scorer: Path) -> BundleEngine:
    return made_engine(tmp_path_factory.mktemp("made"), made_scorer)


@pytest.fixture
def client(made: BundleEngine, tmp_path: Path) -> Iterator[TestClient[Any]]:
    with EventLog.open(tmp_path / "log.db") as log, TestClient(create_app(Service(log, CONFIG, made))) as client:
        yield client


def answer(client: TestClient[Any], route: str, **request: Any) -> list[dict[str, Any]]:
    found = client.post(f"/v1/{route}", json={"explain": True, **request})
    assert found.status_code == 200, found.text
    items: list[dict[str, Any]] = found.json()["items"]
    return items


def of_item(items: list[dict[str, Any]], item_id: str) -> list[dict[str, Any]]:
    (reasons,) = (item["reasons"] for item in items if item["item_id"] == item_id)
    return reasons  # type: ignore[no-any-return]


@pytest.mark.parametrize("user", ["fan", "nobody"])
@pytest.mark.parametrize("query", [None, "pear"])
@pytest.mark.parametrize("route", ["rank", "recommend"])
def test_the_reasons_of_every_item_add_up_to_its_score(client, user, query, route):
    request = {"user_id": user, "query": query} | ({"candidates": [*TITLES]} if route == "rank" else {"limit": 12})
    items = answer(client, route, **request)
    assert len(items) == len(TITLES)
    for item in items:
        assert sum(reason["contribution"] for reason in item["reasons"]) == pytest.approx(item["score"], rel=1e-6)
        assert all(reason["text"] for reason in item["reasons"])


def test_an_item_like_one_of_the_history_is_said_to_be(client):
    items = answer(client, "recommend", user_id="fan", limit=12)
    similar, base = of_item(items, "a2")
    assert similar["text"] == "similar to red apple, which you clicked"
    assert (similar["reason"], similar["item_id"]) == ("similar", "a1")
    assert similar["contribution"] > 0
    assert base == {"reason": "base", "text": "what every item starts with", "contribution": pytest.approx(0.5)}
    # A box is like no apple.
    box = of_item(items, "x1")[0]
    assert (box["reason"], box["text"]) == ("similar", "how like it is to what you chose")
    assert box["contribution"] < 0
    assert {"repeat", "interest"} <= set(items[0]["channels"])


def test_an_unknown_user_is_told_what_is_popular(client):
    ranked = answer(client, "rank", user_id="nobody", candidates=["x1", "p1"])
    popular = {"reason": "popular", "text": "popular in the last four weeks", "contribution": 50.0}
    assert of_item(ranked, "x1") == [popular]
    assert of_item(ranked, "p1")[0]["text"] == "how many choose it"
    (first, *_) = answer(client, "recommend", user_id="nobody")
    assert first["reasons"] == [{"reason": "place", "text": "popular in the last four weeks", "contribution": 1.0}]


def test_what_answers_a_query_is_said_to(client):
    items = answer(client, "rank", user_id="nobody", candidates=[*TITLES], query="pear")
    assert items[0]["item_id"] == "p1"
    assert items[0]["reasons"] == [{"reason": "query", "text": "answers your query", "contribution": items[0]["score"]}]
    assert of_item(items, "x1")[0]["text"] == "how close it is to your query"
    of_fan = answer(client, "rank", user_id="fan", candidates=[*TITLES], query="pear")
    assert of_item(of_fan, "a2")[0]["text"] == "how close it is to your query and to what you chose"


def test_the_first_items_are_explained_and_the_others_are_there_all_the_same(client, monkeypatch):
    monkeypatch.setattr(explaining, "EXPLAINED_ITEMS", 2)
    items = answer(client, "rank", user_id="fan", candidates=[*TITLES])
    assert ["reasons" in item for item in items] == [True, True] + [False] * 10
    without = client.post("/v1/rank", json={"user_id": "fan", "candidates": [*TITLES]}).json()["items"]
    assert [item["item_id"] for item in without] == [item["item_id"] for item in items]
    assert not any("reasons" in item for item in without)


def test_without_trees_it_is_interest_and_popularity_that_add_up(tmp_path, made_scorer, monkeypatch):
    monkeypatch.setattr("tests.serving.made_bundle.RANKER_FILE", "not-" + RANKER_FILE)
    untrained = made_engine(tmp_path, made_scorer)
    items = untrained.recommend(Asked("fan", limit=12, explain=True)).items
    (box,) = (item for item in items if item.item_id == "x1")
    assert {reason.reason: reason.contribution for reason in box.reasons} == {
        # Sixteen times the interest in what has nothing to do with the history; fifty users.
        "similar": pytest.approx(16 * 0.5, abs=1),
        "popular": pytest.approx(np.log(51)),
        "base": 0.0,
    }
    assert all(sum(one.contribution for one in item.reasons) == pytest.approx(item.score) for item in items)
