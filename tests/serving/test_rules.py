"""The rules of a project over HTTP, as they change in force, on the bundle that tests.serving.made_bundle makes."""

import json
import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient

from recsys.errors import ConfigError
from serving.api import create_app
from serving.asked import Asked
from serving.events import EventLog
from serving.reload import Reloader
from serving.service import Service
from serving.surfaces import SurfacesFile
from tests.serving.fake_engine import CONFIG
from tests.serving.made_bundle import made_engine
from tests.serving.test_surfaces import PROJECT as SHOP

PROJECT = SHOP + "click = {}\n"
Follow = Callable[[str], None]
MANY = msgspec.structs.replace(CONFIG, serving=msgspec.structs.replace(CONFIG.serving, max_candidates=50))
UNKNOWN = {"user_id": "nobody"}
"""For whom x1 to x9, which sell, come before a1, a2 and p1, in rank; equal ones as they were asked for."""


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
def service(log_path: Path) -> Iterator[Service]:
    with EventLog.open(log_path) as log:
        yield Service(log, MANY)


@pytest.fixture
def follow(tmp_path: Path, made_scorer: Path, service: Service) -> Follow:
    """Write the section [surfaces] and have the server look at it."""
    path = tmp_path / "recsys.toml"
    path.write_text(PROJECT)
    engine = made_engine(tmp_path, made_scorer)
    reloader = Reloader(service, lambda: engine, lambda: "made", SurfacesFile(path))
    reloader.first()

    def write(surfaces: str) -> None:
        path.write_text(PROJECT + surfaces)
        reloader.look()

    return write


@pytest.fixture
def client(follow: Follow, service: Service) -> Iterator[TestClient[Any]]:
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client


def rank(client: TestClient[Any], *candidates: str, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/rank", json=UNKNOWN | {"candidates": candidates} | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def recommend(client: TestClient[Any], **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/recommend", json=UNKNOWN | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def impressions(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT surface, items, propensities FROM impressions ORDER BY sequence").fetchall()


def test_a_filter_leaves_room_for_others_in_recommend_and_is_told_in_rank(client, follow):
    assert all(item.startswith("x") for item in ids(recommend(client, limit=3)))
    follow("[surfaces.default]\nfilter = \"title != 'box'\"\n")
    assert sorted(ids(recommend(client, limit=3))) == ["a1", "a2", "p1"]
    answer = rank(client, "x1", "a1", "zz")
    assert (ids(answer), answer["unknown"]) == (["a1"], ["zz"])
    assert answer["filtered"] == [{"item_id": "x1", "why": "filter"}]
    assert rank(client, "x1")["items"] == []
    follow("")
    assert ids(rank(client, "x1", "a1")) == ["x1", "a1"]


def test_excluded_items_are_not_shown(client, follow):
    follow("[surfaces.default]\nexclude = ['x1']\n")
    answer = rank(client, "x1", "x2")
    assert (ids(answer), answer["filtered"]) == (["x2"], [{"item_id": "x1", "why": "exclude"}])
    assert "x1" not in ids(recommend(client, limit=50))


def test_what_a_user_bought_is_not_shown_to_that_user_from_the_next_request_on(client, follow):
    follow("[surfaces.default]\nexclude_bought = { types = ['click'], within_days = 7 }\n")
    assert rank(client, "a1", "x1", user_id="fan")["filtered"] == [{"item_id": "a1", "why": "exclude_bought"}]
    assert rank(client, "a1", "x1")["filtered"] == []
    client.post("/v1/events", json=UNKNOWN | {"item_id": "x1", "event_type": "click"})
    assert rank(client, "a1", "x1")["filtered"] == [{"item_id": "x1", "why": "exclude_bought"}]
    assert "x1" not in ids(recommend(client, limit=50))
    # The moment of a request is that of the latest event: what fan did in 2001 is long ago.
    assert rank(client, "a1", "x1", user_id="fan")["filtered"] == []


def test_an_item_that_is_sent_meets_the_conditions_at_once(client, follow):
    follow(
        "[surfaces.default]\nfilter = \"is_null(price) or price < 10\"\nboosts = [{ where = 'price < 5', add = 2 }]\n"
    )
    client.post("/v1/items", json={"items": [{"item_id": "n", "title": "pear", "price": 50}]})
    assert rank(client, "n", "x1")["filtered"] == [{"item_id": "n", "why": "filter"}]
    client.post("/v1/items", json={"item_id": "n", "title": "pear", "price": 3})
    answer = rank(client, "x1", "n")
    assert [(item["item_id"], item.get("rules")) for item in answer["items"]] == [("n", ["boost +2"]), ("x1", None)]
    # It is still so with rules that were written after the item came.
    follow("[surfaces.default]\nfilter = 'price > 5'\n")
    assert rank(client, "n")["filtered"] == [{"item_id": "n", "why": "filter"}]


def test_no_more_of_a_category_than_allowed(client, follow):
    items = [{"item_id": f"x{n}", "title": "box", "category": "boxes"} for n in range(1, 4)]
    client.post("/v1/items", json={"items": items})
    follow("[surfaces.default]\nmax_per_category = 1\n")
    answer = rank(client, "x1", "x2", "x3", "x4", "a1")
    assert ids(answer) == ["x1", "x4", "a1"]
    assert answer["filtered"] == [{"item_id": item, "why": "max_per_category"} for item in ("x2", "x3")]


def test_a_pin_stands_where_it_is_pinned_even_if_nothing_brought_it(client, follow):
    follow("[surfaces.default]\npins = [{ item = 'p1', position = 2 }, { item = 'x9', position = 30 }]\n")
    answer = recommend(client, limit=3)
    assert ids(answer)[1] == "p1"
    assert answer["items"][1]["rules"] == ["pinned"]
    assert len(answer["items"]) == 3
    assert "p1" not in ids(recommend(client, limit=3, exclude=["p1"]))
    assert ids(rank(client, "x1", "a1")) == ["x1", "a1"]
    assert ids(rank(client, "x1", "x2", "p1")) == ["x1", "p1", "x2"]


def test_a_pin_that_no_channel_brought_says_where_it_comes_from(tmp_path, made_scorer, service):
    engine = made_engine(tmp_path, made_scorer)
    engine.live.recommender = engine.live.recommender.__class__(
        engine.live.recommender.features, engine.live.recommender.items, engine.live.recommender.text, 3
    )
    path = tmp_path / "recsys.toml"
    path.write_text(PROJECT + "[surfaces.default]\npins = [{ item = 'p1', position = 1 }]\n")
    Reloader(service, lambda: engine, lambda: "made", SurfacesFile(path)).first()
    (first, *others) = engine.recommend(Asked("nobody", limit=3)).items
    assert (first.item_id, first.channels, first.rules) == ("p1", ("pins",), ("pinned",))
    assert all(item.rules == () and item.channels for item in others)


def test_diversity_keeps_twins_apart(client, follow):
    candidates = ["x1", "x2", "x3", "a1", "p1"]
    assert ids(rank(client, *candidates)) == candidates
    follow("[surfaces.default]\ndiversity = { method = 'mmr', weight = 0.6 }\n")
    # Boxes are all alike: relevance 1 × .4 - .6 is below 0 × .4 - 0.
    answer = rank(client, *candidates)
    assert ids(answer) == ["x1", "a1", "p1", "x2", "x3"]
    assert [item.get("rules") for item in answer["items"]] == [None, ["diversity"], ["diversity"], None, None]


def test_what_is_shown_by_chance_is_logged_with_its_propensity(client, follow, service, log_path):
    rank(client, "x1", "a1")
    follow("[surfaces.default]\nexploration = { method = 'epsilon', share = 0.4, positions = 2 }\n[surfaces.cart]\n")
    answers = [rank(client, "x1", "a1", "p1") for _ in range(200)]
    rank(client, "x1", "a1", surface="cart")
    service.event_log.close()
    before, *explored, cart = impressions(log_path)
    assert before == ("rank", '["x1","a1"]', None)
    assert cart == ("cart", '["x1","a1"]', None)
    lists: Counter[tuple[str, ...]] = Counter()
    for answer, (surface, items, propensities) in zip(answers, explored, strict=True):
        assert (surface, json.loads(items)) == ("default", ids(answer))
        lists[tuple(ids(answer))] += 1
        is_usual = ids(answer) == ["x1", "a1", "p1"]
        # Each of two orders .4 / 2, and .6 more for the usual one.
        assert json.loads(propensities) == pytest.approx([0.8, 0.8, 1.0] if is_usual else [0.2, 0.2, 1.0])
        rules = [item.get("rules") for item in answer["items"]]
        assert rules == ([None] * 3 if is_usual else [["explored"], ["explored"], None])
    assert set(lists) == {("x1", "a1", "p1"), ("a1", "x1", "p1")}
    # 200 × .2 ± 4 × √(200 × .2 × .8)
    assert 17 < lists["a1", "x1", "p1"] < 63


def test_a_repeated_request_id_gives_the_same_list(follow, service):
    follow("[surfaces.default]\nexploration = { method = 'thompson', share = 1.0, uncertainty = 5.0 }\n")
    engine = service.ready_engine()

    def lists() -> list[list[str]]:
        asked = [engine.recommend(Asked("fan", limit=5, request_id=f"r{n}")) for n in range(9)]
        return [[item.item_id for item in answer.items] for answer in asked]

    first = lists()
    assert lists() == first
    assert len({tuple(one) for one in first}) > 1


def test_a_request_names_its_surface_and_an_unknown_one_is_told_the_known_ones(client, follow, service, log_path):
    recommend(client, limit=1, surface="anything")
    follow("[surfaces.home]\nexclude = ['x1']\n")
    assert rank(client, "x1", surface="home")["filtered"] != []
    assert rank(client, "x1")["filtered"] == rank(client, "x1", surface="default")["filtered"] == []
    for route, body in (("/v1/rank", {"candidates": ["x1"]}), ("/v1/recommend", {})):
        answer = client.post(route, json=UNKNOWN | body | {"surface": "hom"})
        assert answer.status_code == 422
        assert answer.headers["content-type"].startswith("application/problem+json")
        problem = answer.json()
        assert (problem["status"], problem["path"]) == (422, "$.surface")
        assert "expected one of ['default', 'home']" in problem["detail"]
    service.event_log.close()
    assert [surface for surface, *_ in impressions(log_path)] == ["anything", "default", "default"]


def test_rules_that_cannot_be_used_are_told_once_and_those_before_them_stay(client, follow, caplog):
    follow("[surfaces.home]\nexclude = ['x1']\n")
    caplog.clear()

    def metric() -> str:
        return client.get("/metrics").text.split("\nrecsys_rules_refused ")[1].split()[0]

    broken = "[surfaces.home]\nfilter = 'prise < 5'\n"
    follow(broken)
    assert [(record.levelno, record.name) for record in caplog.records] == [(logging.ERROR, "serving.reload")]
    assert "[surfaces.home] filter: 'prise < 5', character 1, prise: the items have no column" in caplog.text
    assert (metric(), client.get("/readyz").status_code) == ("1.0", 200)
    assert client.get("/readyz").json()["rules"].startswith("those of recsys.toml are refused")
    assert rank(client, "x1", surface="home")["filtered"] != []
    follow("this is no TOML")
    assert len(caplog.records) == 2
    follow("[surfaces.home]\nexclude = ['x2']\n")
    assert (metric(), "rules" in client.get("/readyz").json()) == ("0.0", False)
    assert rank(client, "x1", "x2", surface="home")["filtered"] == [{"item_id": "x2", "why": "exclude"}]


def test_a_server_does_not_start_with_rules_that_do_not_fit(tmp_path, made_scorer, service):
    path = tmp_path / "recsys.toml"
    path.write_text(PROJECT + "[surfaces.home]\nfilter = 'prise < 5'\n")
    engine = made_engine(tmp_path, made_scorer)
    with pytest.raises(ConfigError, match="no column 'prise'"):
        Reloader(service, lambda: engine, lambda: "made", SurfacesFile(path)).first()


def test_without_rules_an_answer_is_what_it_was(client, follow):
    def answers() -> list[Any]:
        found = [recommend(client, limit=5), rank(client, "a1", "x1"), recommend(client, user_id="fan", query="pear")]
        return [answer["items"] for answer in found]

    before = answers()
    follow("[surfaces.default]\n[surfaces.home]\nfilter = \"title == 'pear'\"\n")
    assert answers() == before
