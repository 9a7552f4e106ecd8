"""Similar and trending items: what the routes answer, refuse and log."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from litestar.testing import TestClient

from recsys.config import Surface
from recsys.state import POPULARITY
from serving.api import create_app
from serving.asked import Asked
from serving.bundle_engine import BundleEngine
from serving.events import EventLog
from serving.pages import Page
from serving.rules import Rules
from serving.service import Service
from tests.serving.fake_engine import CONFIG, FakeEngine
from tests.serving.made_bundle import MadeStore, made_engine
from tests.serving.test_api import assert_problem


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with EventLog.open(tmp_path / "events.db") as log:
        yield Service(log, CONFIG, FakeEngine())


@pytest.fixture
def client(service: Service) -> Iterator[TestClient[Any]]:
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["items"]]


@pytest.mark.parametrize("address", ["/v1/items/b/similar", "/v1/trending"])
def test_a_list_has_the_items_that_are_asked_for_and_where_they_come_from(client, service, address):
    body = client.get(address, params={"limit": 2, "offset": 1, "deadline_ms": 20.5}).json()
    assert [(item["item_id"], item["rank"]) for item in body["items"]] == [
        ("c" if "similar" in address else "b", 2),
        ("d" if "similar" in address else "c", 3),
    ]
    assert (body["bundle"], body["degraded"], body["experiment"]) == ("fake-1", [], None)
    assert 0 < body["took_ms"] < 1000
    assert len(ids(client.get(address))) == CONFIG.serving.max_candidates
    (first, _) = service.engine.asked
    assert (first.limit, first.offset, first.course.left() < 0.0205) == (2, 1, True)


BOTH_WAYS = [("/v1/items/b/similar", "/v1/similar", {"item_id": "b"}), ("/v1/trending", "/v1/trending", {})]


@pytest.mark.parametrize(("address", "route", "fields"), BOTH_WAYS)
def test_an_address_takes_what_a_body_takes_under_the_same_name_and_asks_the_same(
    client, service, address, route, fields
):
    of_bodies = client.get("/openapi.json").json()
    (name,) = (one for one in ("SimilarRequest", "TrendingRequest") if one.lower().startswith(route[4:]))
    described = of_bodies["paths"][address.replace("/b/", "/{item_id}/")]["get"]["parameters"]
    assert {one["name"] for one in described} == of_bodies["components"]["schemas"][name]["properties"].keys()
    for order in (
        {"user_id": "u", "limit": 2, "offset": 1, "exclude": ["a", "zz"], "surface": "home"},
        {"limit": 2, "page": Page("r", ("a", "c")).token(), "filter": "price > 1", "deadline_ms": 900.0},
    ):
        answers = [client.get(address, params=order), client.post(route, json={**fields, **order})]
        by_address, by_body = (answer.json() for answer in answers)
        assert ids(answers[0]) == ids(answers[1]) != []
        assert [item["rank"] for item in by_address["items"]] == [item["rank"] for item in by_body["items"]]
        # The tokens of two requests name two requests.
        assert (by_address["next_page"] is None) == (by_body["next_page"] is None)
        one, other = (replace(asked, request_id="") for asked in service.engine.asked[-2:])
        assert one == other


@pytest.mark.parametrize(("address", "route", "fields"), BOTH_WAYS)
def test_pages_hold_every_item_once_and_none_that_is_excluded(client, address, route, fields):
    found, page = [], {}
    for _ in range(10):
        asked = {"limit": 2, "exclude": ["c", "d"], **page}
        answer = client.get(address, params=asked).json()
        assert [item["rank"] for item in answer["items"]] == list(
            range(len(found) + 1, len(found) + 1 + len(answer["items"]))
        )
        found += [item["item_id"] for item in answer["items"]]
        if answer["next_page"] is None:
            break
        page = {"page": answer["next_page"]}
    assert found == [item for item in "abef" if item != fields.get("item_id")]


@pytest.mark.parametrize(("route", "fields"), [(route, fields) for _, route, fields in BOTH_WAYS])
def test_a_bad_field_of_a_body_is_named(client, route, fields):
    token = Page("r", ("a",)).token()
    for bad, status, path, detail in (
        ({"page": token, "offset": 1}, 422, "$.offset", "an offset beside a page"),
        ({"page": "made up"}, 422, "$.page", "not a token of an answer"),
        ({"exclude": [""]}, 400, "$.exclude[0]", "length >= 1"),
        ({"explain": True}, 400, "$.explain", ""),
    ):
        assert_problem(client.post(route, json={**fields, **bad}), status, path, detail)


def test_both_ways_of_asking_for_similar_items_are_the_same(client):
    for item_id, address in (("b", "b"), ("a", "%61")):
        by_body = client.post("/v1/similar", json={"item_id": item_id, "limit": 2})
        assert ids(client.get(f"/v1/items/{address}/similar", params={"limit": 2})) == ids(by_body)


@pytest.mark.parametrize("item_id", ["a/b", "/", "a/similar", "ü%2F", "a//", "?x=1#y"])
def test_an_id_may_have_any_signs(client, service, item_id):
    service.engine.catalogue.append(item_id)
    address = "".join(f"%{byte:02X}" for byte in item_id.encode())
    assert ids(client.get(f"/v1/items/{address}/similar", params={"limit": 1})) == ["a"]


def test_of_what_there_is_not_there_are_no_similar_items(client):
    assert_problem(client.get("/v1/items/zz/similar"), 404, "$.item_id", "the catalogue has no such item")
    assert_problem(client.get("/v1//items/b/similar"), 404, None, "Not Found")
    for address in ("/v1/items/b", "/v1/items//similar", "/v1/items/similar"):
        assert_problem(client.get(address), 405, None, "Method Not Allowed")


@pytest.mark.parametrize("address", ["/v1/items/b/similar", "/v1/trending"])
@pytest.mark.parametrize(
    ("parameters", "status", "path", "detail"),
    [
        ({"limit": 0}, 400, "?limit", ">= 1"),
        ({"limit": "x"}, 400, "?limit", "Expected `int"),
        ({"limit": 6}, 422, "?limit", "the limit is 6; expected at most 5"),
        ({"offset": -1}, 400, "?offset", ">= 0"),
        ({"offset": 5, "limit": 1}, 422, "?offset", "expected at most 5 together"),
        ({"deadline_ms": 0}, 400, "?deadline_ms", "> 0"),
        ({"deadline_ms": "nan"}, 400, "?deadline_ms", ""),
        ({"user_id": ""}, 400, "?user_id", "length >= 1"),
        ({"surface": ""}, 400, "?surface", "length >= 1"),
        ({"filter": ""}, 400, "?filter", "length >= 1"),
        ({"page": "made up"}, 422, "?page", "not a token of an answer"),
        ({"page": Page("r", ("a",)).token(), "offset": 1}, 422, "?offset", "an offset beside a page"),
        ({"limits": 2}, 400, "?limits", "no such parameter; expected some of"),
    ],
)
def test_a_bad_parameter_is_named(client, address, parameters, status, path, detail):
    assert_problem(client.get(address, params=parameters), status, path, detail)


def test_a_surface_that_there_is_not_is_named(client, service):
    service.surfaces = {"home": object()}
    answer = client.get("/v1/trending", params={"surface": "hoem"})
    assert_problem(answer, 422, "?surface", r"expected one of \['default', 'home'\]")


def test_a_list_is_logged_when_it_is_said_to_whom_it_is_shown(client, service, tmp_path):
    client.get("/v1/trending", params={"limit": 1})
    shown = client.get("/v1/trending", params={"limit": 1, "user_id": "u"}).json()["request_id"]
    similar = client.get("/v1/items/b/similar", params={"limit": 1, "user_id": "u"}).json()["request_id"]
    service.event_log.close()
    with closing(sqlite3.connect(tmp_path / "events.db")) as connection:
        found = connection.execute("SELECT request_id, user_id, items, surface FROM impressions").fetchall()
    assert found == [(shown, "u", '["a"]', "trending"), (similar, "u", '["a"]', "similar")]


def test_the_description_names_the_address_that_is_called(client):
    paths = client.get("/openapi.json").json()["paths"]
    parameters = paths["/v1/items/{item_id}/similar"]["get"]["parameters"]
    assert {one["name"] for one in parameters} == {
        "item_id", "user_id", "limit", "offset", "page", "exclude", "surface", "filter", "deadline_ms"
    }  # fmt: skip
    assert "get" not in paths["/v1/items/{item_id}"]
    assert "GET /v1/items/{item_id}/similar" in client.get("/docs").text


# Over the bundle made by hand


class Rising(MadeStore):
    """x2 is discovered by more users than before, a1 by as many, and everybody chooses boxes."""

    def online_items(self, catalogue):
        found = super().online_items(catalogue)
        behaviour, columns = found.behaviour.copy(), found.columns
        for item, week, month in (("x2", 40.0, 50.0), ("a1", 10.0, 40.0), ("x3", 0.0, 50.0)):
            behaviour[catalogue.index[item], columns.index("new_users_7d")] = week
            behaviour[catalogue.index[item], columns.index("new_users_28d")] = month
        behaviour[catalogue.index["x9"], columns.index(POPULARITY)] = 70.0
        return replace(found, behaviour=behaviour)


@pytest.fixture
def engine(tmp_path: Path, made_scorer: Path) -> BundleEngine:
    return made_engine(tmp_path, made_scorer, Rising())


def test_what_is_trending_comes_before_what_is_popular(engine):
    found = engine.trending(Asked(limit=3)).items
    assert [(item.item_id, item.channels) for item in found] == [
        ("x2", ("trending", "popular")), ("x9", ("popular",)), ("x1", ("popular",))
    ]  # fmt: skip
    assert [item.item_id for item in engine.trending(Asked(limit=2, offset=1)).items] == ["x9", "x1"]


def test_a_list_goes_on_behind_what_was_shown_and_without_what_is_excluded(engine):
    shown = Page("r", ("x2", "x9", "gone"))
    found = engine.trending(Asked(limit=2, page=shown), exclude=["x1", "gone"])
    assert [item.item_id for item in found.items] == ["x3", "x4"]
    # Behind the two of those shown that the catalogue has.
    assert [item.score for item in found.items] == pytest.approx([1 / 3, 1 / 4])
    similar = [item.item_id for item in engine.similar(Asked(limit=9), "x1").items]
    rest = engine.similar(Asked(limit=9, page=Page("r", tuple(similar[:2]))), "x1", exclude=[similar[2]])
    assert [item.item_id for item in rest.items] == similar[3:]


def test_a_cap_of_the_surface_counts_what_earlier_pages_of_a_list_showed(engine):
    table = engine.catalogue.table.with_columns(category=pl.col("title"))
    engine.use_rules(Rules(table, {"home": Surface(max_per_category=2)}))
    first = [item.item_id for item in engine.trending(Asked(limit=2, surface="home")).items]
    assert first == ["x2", "x9"]
    found = engine.trending(Asked(limit=10, surface="home", page=Page("r", tuple(first)))).items
    # Of the boxes there were two: an apple of each colour and the pear are left.
    assert {item.item_id for item in found} == {"a1", "a2", "p1"}


def test_where_nothing_is_trending_there_is_what_is_popular(tmp_path, made_scorer):
    found = made_engine(tmp_path, made_scorer).trending(Asked(limit=3))
    assert [item.item_id for item in found.items] == ["x1", "x2", "x3"]
    assert found.degraded == []


def test_a_filter_and_what_was_taken_out_hold_for_lists_too(engine):
    found = engine.trending(Asked(limit=12, where="title != 'box'")).items
    assert {item.item_id for item in found} == {"a1", "a2", "p1"}
    assert [item.item_id for item in engine.similar(Asked(limit=12, where="title == 'pear'"), "a1").items] == []


def test_a_list_that_cannot_be_made_in_time_has_what_is_popular(engine, monkeypatch):
    def fail(*_: Any, **__: Any) -> Any:
        raise KeyError("broken")

    monkeypatch.setattr("serving.item_lists.trending", fail)
    monkeypatch.setattr("serving.item_lists.retrieve_similar", fail)
    for found, part in (
        (engine.trending(Asked(limit=1)), "trending"),
        (engine.similar(Asked(limit=1), "x9"), "similar"),
    ):
        assert found.degraded == [f"{part}: error"]
        assert found.items[0].channels == ("popular",)
        assert found.items[0].item_id == ("x9" if part == "trending" else "x1")
