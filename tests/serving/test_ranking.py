"""Pages, filters, channels and explanations over HTTP, on the bundle that tests.serving.made_bundle makes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient

from recsys.config import Exploration, Pin, Surface
from serving.api import create_app
from serving.bundle_engine import BundleEngine
from serving.events import EventLog
from serving.item_types import ItemChange, ItemVersion
from serving.pages import Page
from serving.service import Service
from tests.serving.fake_engine import CONFIG
from tests.serving.made_bundle import TITLES, made_engine
from tests.serving.test_api import assert_problem

MANY = msgspec.structs.replace(CONFIG, serving=msgspec.structs.replace(CONFIG.serving, max_candidates=12))
BOXES = [f"x{n}" for n in range(1, 10)]


@pytest.fixture
def engine(tmp_path: Path, made_scorer: Path) -> BundleEngine:
    return made_engine(tmp_path, made_scorer)


@pytest.fixture
def service(tmp_path: Path, engine: BundleEngine) -> Iterator[Service]:
    with EventLog.open(tmp_path / "log.db") as log:
        yield Service(log, MANY, engine)


@pytest.fixture
def client(service: Service) -> Iterator[TestClient[Any]]:
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client


def ask(client: TestClient[Any], route: str, **fields: Any) -> dict[str, Any]:
    answer = client.post(f"/v1/{route}", json={"user_id": "nobody", **fields})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["degraded"] == []
    return found


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def use(service: Service, surface: Surface) -> None:
    """Follow the rules of this surface by default."""
    engine = service.engine
    assert engine is not None
    service.surfaces = {"default": surface}
    engine.use_rules(engine.make_rules(service.surfaces))


# Pages


def test_an_offset_leaves_out_the_first_items_and_the_ranks_go_on(client):
    everything = ask(client, "recommend", limit=9)
    answer = ask(client, "recommend", offset=2, limit=3)
    assert ids(answer) == ids(everything)[2:5]
    assert [item["rank"] for item in answer["items"]] == [3, 4, 5]


def test_page_after_page_every_item_comes_once_and_the_last_one_names_no_next(client):
    shown: list[str] = []
    page, ranks = None, []
    while True:
        answer = ask(client, "recommend", user_id="fan", limit=5, **({"page": page} if page else {}))
        shown += ids(answer)
        ranks += [item["rank"] for item in answer["items"]]
        page = answer["next_page"]
        if page is None:
            break
    assert sorted(shown) == sorted(TITLES)
    assert ranks == list(range(1, 13))


def test_nothing_comes_again_when_the_order_has_changed_between_two_pages(client, engine):
    first = ask(client, "recommend", user_id="fan", limit=3)
    assert ids(first)[:2] == ["a1", "a2"]
    # Like what the user chose: it would be among the first three.
    new = ItemVersion("n", {"title": "red apple"})
    engine.apply_items([ItemChange(1, new, engine.encode_items([new])[0])])
    assert "n" in ids(ask(client, "recommend", user_id="fan", limit=3))
    second = ask(client, "recommend", user_id="fan", limit=3, page=first["next_page"])
    assert ids(second)[0] == "n"
    assert not set(ids(second)) & set(ids(first))
    # An offset counts in the order of now.
    assert set(ids(ask(client, "recommend", user_id="fan", limit=3, offset=3))) & set(ids(first))


def test_a_maximum_by_category_counts_what_earlier_pages_showed_and_pins_keep_their_places(client, service, engine):
    changes = []
    for at, item in enumerate(BOXES):
        version = ItemVersion(item, {"title": "box", "category": "boxes"})
        changes.append(ItemChange(at + 1, version, engine.encode_items([version])[0]))
    engine.apply_items(changes)
    use(service, Surface(max_per_category=3, pins=[Pin(item="p1", position=5)]))
    first = ask(client, "recommend", limit=2)
    second = ask(client, "recommend", limit=4, page=first["next_page"])
    # Two boxes were shown, so that one is left; a1 and a2 have no category.
    assert ids(first) == ["x1", "x2"]
    assert ids(second) == ["x3", "a1", "p1", "a2"]
    assert [item["rank"] for item in second["items"]] == [3, 4, 5, 6]
    assert second["next_page"] is not None
    assert ids(ask(client, "recommend", limit=4, page=second["next_page"])) == []


def test_exploration_draws_the_same_for_all_pages_of_an_answer_and_shows_no_item_twice(client, service):
    use(service, Surface(exploration=Exploration(method="epsilon", share=1.0, positions=9)))
    for _ in range(5):
        shown: list[str] = []
        page = None
        for _ in range(3):
            answer = ask(client, "recommend", limit=3, **({"page": page} if page else {}))
            shown += ids(answer)
            page = answer["next_page"]
        assert len(set(shown)) == 9


@pytest.mark.parametrize(
    ("body", "path", "detail"),
    [
        ({"offset": 1, "page": Page("r", ()).token()}, "$.offset", "expected one of them"),
        ({"page": "nonsense"}, "$.page", "expected the next_page of one"),
        ({"offset": 10, "limit": 3}, "$.offset", "10 items in front and a limit of 3; expected at most 12 together"),
        ({"offset": 13}, "$.offset", "at most 12 together"),
        ({"page": Page("r", tuple("abcdefghijkl")).token()}, "$.page", "12 items in front"),
        ({"filter": "price <"}, "$.filter", "character 8: invalid syntax; expected columns"),
        ({"filter": "colour == 'red'"}, "$.filter", "the items have no column 'colour'"),
        ({"filter": "1 < 2"}, "$.filter", "expected at least one column"),
    ],
)
def test_recommend_names_the_field_that_asks_for_what_it_cannot_do(client, body, path, detail):
    assert_problem(client.post("/v1/recommend", json={"user_id": "u"} | body), 422, path, detail)


@pytest.mark.parametrize(
    ("body", "path", "detail"),
    [
        ({"offset": -1}, "$.offset", ">= 0"),
        ({"deadline_ms": 0}, "$.deadline_ms", "> 0"),
        ({"deadline_ms": 60_000}, "$.deadline_ms", "<= 10000"),
        ({"filter": ""}, "$.filter", "length >= 1"),
    ],
)
def test_recommend_names_the_field_that_is_not_as_described(client, body, path, detail):
    assert_problem(client.post("/v1/recommend", json={"user_id": "u"} | body), 400, path, detail)


# Filters and channels


def test_a_filter_leaves_room_for_others_in_recommend_and_is_told_in_rank(client):
    assert all(item in BOXES for item in ids(ask(client, "recommend", limit=3)))
    where = "title != 'box' and not starts_with(title, 'red')"
    assert sorted(ids(ask(client, "recommend", limit=12, filter=where))) == ["a2", "p1"]
    answer = ask(client, "rank", candidates=["x1", "a2", "zz"], filter=where)
    assert (ids(answer), answer["unknown"]) == (["a2"], ["zz"])
    assert answer["filtered"] == [{"item_id": "x1", "why": "request_filter"}]
    assert_problem(
        client.post("/v1/rank", json={"user_id": "u", "candidates": ["a1"], "filter": "title < 3"}),
        422,
        "$.filter",
        "expected text",
    )


def test_a_filter_sees_items_that_were_changed_since_it_was_first_used(client, engine):
    where = "contains(title, 'pear')"
    assert ids(ask(client, "recommend", filter=where)) == ["p1"]
    changed = ItemVersion("x1", {"title": "box of pears", "price": 3})
    engine.apply_items([ItemChange(1, changed, engine.encode_items([changed])[0])])
    assert sorted(ids(ask(client, "recommend", filter=where))) == ["p1", "x1"]
    # So does one that is first used afterwards.
    assert sorted(ids(ask(client, "recommend", filter=f"{where} and price > 0"))) == ["x1"]


def test_only_the_channels_asked_for_bring_items(client):
    answer = ask(client, "recommend", user_id="fan", limit=12, channels=["repeat"])
    assert [(item["item_id"], item["channels"]) for item in answer["items"]] == [("a1", ["repeat"])]
    answer = client.post("/v1/recommend", json={"user_id": "fan", "channels": ["repeat", "season"]})
    assert_problem(answer, 422, "$.channels[1]", "no channel in use here; expected one of .*'popular'")


# Explanations


def test_explain_gives_the_places_of_items_among_all_that_is_recommended_with_reasons(client):
    everything = ask(client, "recommend", user_id="fan", limit=12)
    place = {item["item_id"]: item["rank"] for item in everything["items"]}
    answer = ask(client, "explain", user_id="fan", items=["x3", "a2", "zz", "a2"])
    assert [(item["item_id"], item["rank"]) for item in answer["items"]] == [("a2", place["a2"]), ("x3", place["x3"])]
    assert answer["unknown"] == ["zz"]
    for item in answer["items"]:
        assert sum(reason["contribution"] for reason in item["reasons"]) == pytest.approx(item["score"])
    assert answer["items"][0]["reasons"][0]["text"] == "similar to red apple, which you clicked"


def test_explain_says_which_rule_leaves_an_item_without_a_place(client, service):
    use(service, Surface(exclude=["x1"]))
    answer = ask(client, "explain", items=["x1", "x2"], filter="title == 'box'")
    assert answer["filtered"] == [{"item_id": "x1", "why": "exclude"}]
    assert ids(answer) == ["x2"]
    answer = ask(client, "explain", items=["a1"], filter="title == 'box'")
    assert (ids(answer), answer["filtered"]) == ([], [{"item_id": "a1", "why": "request_filter"}])


def test_an_item_that_no_channel_brings_is_explained_all_the_same(client, engine):
    engine.live.recommender = engine.live.recommender.__class__(
        engine.live.recommender.features, engine.live.recommender.items, engine.live.recommender.text, 3
    )
    assert "p1" not in ids(ask(client, "recommend", limit=12))
    (item,) = ask(client, "explain", items=["p1"])["items"]
    assert (item["item_id"], item["rank"], item["channels"]) == ("p1", 4, ["candidates"])


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({}, 400, "$.items"),
        ({"items": []}, 400, "$.items"),
        ({"items": ["a"] * 51}, 400, "$.items"),
        ({"items": ["a"], "limit": 1}, 400, "$.limit"),
        ({"items": ["a"], "filter": "price <"}, 422, "$.filter"),
    ],
)
def test_explain_names_the_field_that_it_refuses(client, body, status, path):
    assert_problem(client.post("/v1/explain", json={"user_id": "u"} | body), status, path, "")
