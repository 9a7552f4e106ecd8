"""Every route: what it answers, what it refuses and how it says so."""

import json
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving import openapi
from serving.types import MAX_ENTRIES
from tests.serving.fake_engine import CONFIG, FakeEngine
from tests.serving.logged import rows

POST_ROUTES = ["/v1/rank", "/v1/recommend", "/v1/explain", "/v1/similar", "/v1/events", "/v1/items", "/v1/users"]
CLICK = {"user_id": "u", "item_id": "a", "event_type": "click"}

DEEP = b"[" * 100_000
MALFORMED = [b"", b"null", b"[]", b"{", b"{}x", b"NaN", b"\xff", b"\xef\xbb\xbf{}", b'{"user_id": "\xff"}']
MALFORMED += [b'{"\\ud800": 1}', DEEP, b'{"user_id": ' + DEEP, b'{"events": ' + DEEP]


def assert_problem(answer: httpx.Response, status: int, path: str | None, detail: str) -> None:
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem.get("path")) == (status, status, path)
    assert re.search(detail, problem["detail"]), problem["detail"]


def test_rank_answers_with_the_candidates_in_order_and_where_the_order_comes_from(client):
    answer = client.post("/v1/rank", json={"user_id": "u", "candidates": ["c", "zz", "b"]})
    assert answer.status_code == 200
    body = answer.json()
    assert body["items"] == [
        {"item_id": "b", "score": 1.0, "rank": 1, "channels": ["candidates"], "title": "Item b"},
        {"item_id": "c", "score": 0.5, "rank": 2, "channels": ["candidates"], "title": "Item c"},
    ]
    assert (body["unknown"], body["bundle"], body["degraded"]) == (["zz"], "fake-1", [])
    assert 0 < body["took_ms"] < 1000
    assert re.fullmatch("[0-9a-f]{32}", body["request_id"])


def test_rank_answers_with_no_more_than_the_limit(client):
    answer = client.post("/v1/rank", json={"user_id": "u", "candidates": ["c", "b", "a"], "limit": 1})
    assert [item["item_id"] for item in answer.json()["items"]] == ["a"]


def test_a_candidate_that_is_named_twice_is_ranked_once(client):
    answer = client.post("/v1/rank", json={"user_id": "u", "candidates": ["b", "a", "b", "zz", "zz"]})
    assert [item["item_id"] for item in answer.json()["items"]] == ["a", "b"]
    assert answer.json()["unknown"] == ["zz"]


def test_recommend_leaves_out_what_is_excluded_and_what_was_seen(client):
    request = {"user_id": "u", "limit": 2, "exclude": ["b"], "exclude_seen": True}
    assert [item["item_id"] for item in client.post("/v1/recommend", json=request).json()["items"]] == ["c", "d"]
    request["exclude_seen"] = False
    assert [item["item_id"] for item in client.post("/v1/recommend", json=request).json()["items"]] == ["a", "c"]


def test_similar_answers_with_items_like_the_given_one_without_it(client):
    answer = client.post("/v1/similar", json={"item_id": "b", "limit": 2})
    assert answer.status_code == 200
    assert answer.json()["items"] == [
        {"item_id": "a", "score": 1.0, "rank": 1, "channels": ["text"], "title": "Item a"},
        {"item_id": "c", "score": 0.5, "rank": 2, "channels": ["text"], "title": "Item c"},
    ]
    assert (answer.json()["bundle"], answer.json()["degraded"]) == ("fake-1", [])
    everything = client.post("/v1/similar", json={"item_id": "b"}).json()["items"]
    assert len(everything) == CONFIG.serving.max_candidates


def test_an_item_that_there_is_not_has_no_similar_ones(client):
    assert_problem(client.post("/v1/similar", json={"item_id": "zz"}), 404, "$.item_id", "the catalogue has no such")


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({}, 400, "$.item_id"),
        ({"item_id": "a", "user_id": ""}, 400, "$.user_id"),
        ({"item_id": "a", "limit": 6}, 422, "$.limit"),
        ({"item_id": "a", "query": "pear"}, 400, "$.query"),
    ],
)
def test_similar_names_the_field_that_it_refuses(client, body, status, path):
    assert_problem(client.post("/v1/similar", json=body), status, path, "")


def test_recommend_answers_with_ten_items_or_as_many_as_the_server_allows(client):
    assert len(client.post("/v1/recommend", json={"user_id": "u"}).json()["items"]) == CONFIG.serving.max_candidates


@pytest.mark.parametrize(("route", "request_body"), [("/v1/rank", {"candidates": ["b", "a"]}), ("/v1/recommend", {})])
def test_reasons_are_given_when_asked_for_and_add_up_to_the_score(client, route, request_body):
    request = {"user_id": "u", "limit": 2, **request_body}
    first, second = client.post(route, json={**request, "explain": True}).json()["items"]
    assert first["reasons"] == [
        {"reason": "letter", "text": "after Item a", "contribution": 0.5, "item_id": "a"},
        {"reason": "base", "text": "a letter", "contribution": 0.5},
    ]
    assert sum(reason["contribution"] for reason in second["reasons"]) == second["score"] == 0.5
    assert all("reasons" not in item for item in client.post(route, json=request).json()["items"])
    assert_problem(client.post(route, json={**request, "explain": "yes"}), 400, "$.explain", "Expected `bool`")


def test_an_unknown_user_gets_an_answer_that_says_what_it_had_to_do_without(client):
    answer = client.post("/v1/recommend", json={"user_id": "nobody", "limit": 1})
    assert (answer.status_code, answer.json()["degraded"]) == (200, ["text_interest: deadline"])


@pytest.mark.parametrize(
    ("body", "path", "detail"),
    [
        ({"candidates": ["a"]}, "$.user_id", "missing required field"),
        ({"user_id": "", "candidates": ["a"]}, "$.user_id", "length >= 1"),
        ({"user_id": "u" * 257, "candidates": ["a"]}, "$.user_id", "length <= 256"),
        ({"user_id": 7, "candidates": ["a"]}, "$.user_id", "Expected `str`, got `int`"),
        ({"user_id": "u"}, "$.candidates", "missing required field"),
        ({"user_id": "u", "candidates": []}, "$.candidates", "length >= 1"),
        ({"user_id": "u", "candidates": "a"}, "$.candidates", "Expected `array`"),
        ({"user_id": "u", "candidates": ["a", ""]}, "$.candidates[1]", "length >= 1"),
        ({"user_id": "u", "candidates": ["a"], "limit": 0}, "$.limit", ">= 1"),
        ({"user_id": "u", "candidates": ["a"], "limit": "5"}, "$.limit", "got `str`"),
        ({"user_id": "u", "candidates": ["a"], "limits": 5}, "$.limits", "unknown field `limits`"),
    ],
)
def test_rank_names_the_field_that_is_not_as_described(client, body, path, detail):
    assert_problem(client.post("/v1/rank", json=body), 400, path, detail)


def test_rank_names_the_field_that_asks_for_more_than_the_project_allows(client):
    many, limited = {"user_id": "u", "candidates": ["a"] * 6}, {"user_id": "u", "candidates": ["a"], "limit": 6}
    assert_problem(client.post("/v1/rank", json=many), 422, "$.candidates", "6 candidates; expected at most 5")
    assert_problem(client.post("/v1/rank", json=limited), 422, "$.limit", "the limit is 6; expected at most 5")
    # What is not as described is told first.
    assert_problem(client.post("/v1/rank", json=many | {"limits": 5}), 400, "$.limits", "unknown field")


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({"user_id": "u", "limit": 6}, 422, "$.limit"),
        ({"user_id": "u", "exclude": [""]}, 400, "$.exclude[0]"),
        ({"user_id": "u", "exclude_seen": "yes"}, 400, "$.exclude_seen"),
        ({"user_id": "u", "candidates": ["a"]}, 400, "$.candidates"),
    ],
)
def test_recommend_names_the_field_that_it_refuses(client, body, status, path):
    assert_problem(client.post("/v1/recommend", json=body), status, path, "")


def test_a_whole_number_may_be_written_with_a_fraction_of_zero(client):
    answer = client.post("/v1/recommend", content=b'{"user_id": "u", "limit": 2.0, "offset": 1e0}')
    assert [item["item_id"] for item in answer.json()["items"]] == ["b", "c"]
    for body, path, detail in (
        (b'{"user_id": "u", "limit": 2.5}', "$.limit", "got `float`"),
        (b'{"user_id": "u", "limit": 0.0}', "$.limit", ">= 1"),
        (b'{"user_id": "u", "limit": 2.0, "limits": 1}', "$.limits", "unknown field"),
        (b"2.0", "$", "Expected `object`"),
        (b'{"user_id": "u", "limit": 2.0, "deadline_ms": ' + DEEP + b"}", "$", "nested too deeply|JSON is malformed"),
    ):
        assert_problem(client.post("/v1/recommend", content=body), 400, path, detail)


@pytest.mark.parametrize("route", POST_ROUTES)
@pytest.mark.parametrize("body", MALFORMED)
def test_a_malformed_body_is_a_400(client, route, body):
    answer = client.post(route, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["status"]) == (400, 400)
    assert answer.json()["path"].startswith("$")


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "application/msgpack", "text/plain", "x"])
def test_a_body_is_json_whatever_its_content_type_says(client, content_type):
    answer = client.post(
        "/v1/rank", content=b'{"user_id": "u", "candidates": ["a"]}', headers={"content-type": content_type}
    )
    assert answer.status_code == 200


def test_other_errors_are_problems_too(client):
    assert_problem(client.get("/nothing"), 404, None, "Not Found")
    assert_problem(client.get("/v1/rank"), 405, None, "Method Not Allowed")
    assert_problem(client.post("/v1/rank", content=b" " * 11_000_000), 413, None, "too large; expected at most 10")


def test_events_are_stored_and_a_repeat_is_a_duplicate(client, log_path):
    event = CLICK | {"event_id": "e1", "timestamp": "2011-12-09T13:50:00+01:00", "request_id": "r", "value": 2}
    assert client.post("/v1/events", json=event).json() == {"results": [{"status": "stored", "event_id": "e1"}]}
    assert client.post("/v1/events", json={"events": [event]}).json() == {
        "results": [{"status": "duplicate", "event_id": "e1"}]
    }
    query = "SELECT event_id, timestamp, request_id, value FROM interactions"
    assert rows(log_path, query) == [("e1", 1_323_435_000_000_000, "r", 2.0)]


def test_a_bad_event_is_refused_with_its_reason_and_the_good_ones_are_stored(client, log_path):
    next_week = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    sent = [
        CLICK | {"event_id": "good"},
        {"user_id": "u", "event_type": "click"},
        CLICK | {"event_type": "purchsae"},
        CLICK | {"timestamp": next_week},
        CLICK | {"timestamp": "2011-12-09T13:50:00"},
        CLICK | {"timestamp": 1323435000},
        "click",
    ]
    answer = client.post("/v1/events", json={"events": sent})
    assert answer.status_code == 200
    good, *bad = answer.json()["results"]
    assert good == {"status": "stored", "event_id": "good"}
    assert {result["status"] for result in bad} == {"refused"}
    found = [(result["path"], result["reason"]) for result in bad]
    expected = [
        ("$.events[1].item_id", "missing required field"),
        ("$.events[2].event_type", re.escape("expected one of ['click', 'purchase']")),
        ("$.events[3].timestamp", "in the future; expected at most a day after"),
        ("$.events[4].timestamp", "with a timezone"),
        ("$.events[5].timestamp", "got `int`"),
        ("$.events[6]", "Expected `object`, got `str`"),
    ]
    for (path_found, reason), (path_expected, pattern) in zip(found, expected, strict=True):
        assert path_found == path_expected
        assert re.search(pattern, reason), reason
    assert rows(log_path, "SELECT event_id FROM interactions") == [("good",)]


def test_text_that_is_not_utf8_in_one_event_does_not_cost_the_others(client):
    good = json.dumps(CLICK).encode()
    answer = client.post("/v1/events", content=b'{"events": [' + good.replace(b'"a"', b'"\xff"') + b"," + good + b"]}")
    assert [result["status"] for result in answer.json()["results"]] == ["refused", "stored"]


def test_events_that_are_all_refused_are_a_422_with_the_results_and_a_400_where_one_is_malformed(client):
    unknown, later = CLICK | {"event_type": "buy"}, CLICK | {"timestamp": "2999-01-01T00:00:00Z"}
    answer = client.post("/v1/events", json=unknown)
    assert_problem(answer, 422, "$.event_type", "not an interaction type of recsys.toml.*no event was stored")
    assert [result["status"] for result in answer.json()["results"]] == ["refused"]
    answer = client.post("/v1/events", json={"events": [later, unknown]})
    assert_problem(answer, 422, "$.events[0].timestamp", "in the future.*no event was stored")
    assert_problem(client.post("/v1/events", json={"events": [{}, {}]}), 400, "$.events[0].user_id", "missing")
    answer = client.post("/v1/events", json={"events": [unknown, {}, later]})
    assert_problem(answer, 400, "$.events[1].user_id", "missing.*no event was stored")
    assert [result["path"] for result in answer.json()["results"]] == [
        "$.events[0].event_type", "$.events[1].user_id", "$.events[2].timestamp"
    ]  # fmt: skip


def test_a_batch_holds_one_event_to_the_maximum_and_nothing_beside_them(client):
    assert_problem(client.post("/v1/events", json={"events": []}), 400, "$.events", "0 events; expected 1 to")
    too_many = {"events": [CLICK] * (MAX_ENTRIES + 1)}
    assert_problem(client.post("/v1/events", json=too_many), 400, "$.events", f"{MAX_ENTRIES + 1} events")
    assert_problem(client.post("/v1/events", json={"events": [CLICK], "user_id": "u"}), 400, "$.user_id", "beside")


def test_an_event_log_that_cannot_be_written_is_a_503_and_ranking_goes_on(client, service, log_path):
    service.event_log.close()
    answer = client.post("/v1/events", json=CLICK)
    assert_problem(answer, 503, None, "nothing of this request is stored, send it again")
    assert str(log_path) not in answer.text
    assert client.post("/v1/rank", json={"user_id": "u", "candidates": ["a"]}).status_code == 200


def test_an_answer_says_when_it_cannot_be_logged_to_whom_it_was_shown(client, service):
    service.event_log.failing = True
    answer = client.post("/v1/rank", json={"user_id": "u", "candidates": ["c"]}).json()
    assert "impressions: error" in answer["degraded"]
    assert "impressions: error" not in client.get("/v1/trending").json()["degraded"]
    service.event_log.failing = False
    assert "impressions: error" not in client.get("/v1/trending", params={"user_id": "u"}).json()["degraded"]


def test_what_an_answer_shows_is_logged_as_an_impression_in_the_order_shown(client, service, log_path):
    ranked = client.post("/v1/rank", json={"user_id": "u", "candidates": ["c", "b", "zz"]}).json()
    recommended = client.post("/v1/recommend", json={"user_id": "v", "limit": 1}).json()
    client.post("/v1/rank", json={"user_id": "u", "candidates": ["zz"]})  # shows nothing
    service.event_log.close()
    assert rows(log_path, "SELECT request_id, user_id, items, surface, bundle FROM impressions") == [
        (ranked["request_id"], "u", '["b","c"]', "rank", "fake-1"),
        (recommended["request_id"], "v", '["a"]', "recommend", "fake-1"),
    ]


def test_what_is_similar_is_logged_only_when_it_is_said_to_whom_it_is_shown(client, service, log_path):
    client.post("/v1/similar", json={"item_id": "b", "limit": 2})
    shown = client.post("/v1/similar", json={"item_id": "b", "user_id": "u", "limit": 2}).json()
    service.event_log.close()
    assert rows(log_path, "SELECT request_id, user_id, items, surface, query FROM impressions") == [
        (shown["request_id"], "u", '["a","c"]', "similar", None)
    ]


def test_a_query_goes_to_the_engine_and_is_kept_with_what_was_shown_and_with_the_events(client, service, log_path):
    client.post("/v1/rank", json={"user_id": "u", "candidates": ["a"], "query": "röd äpple"})
    client.post("/v1/recommend", json={"user_id": "u", "query": "apple"})
    client.post("/v1/recommend", json={"user_id": "u"})
    assert client.post("/v1/events", json=CLICK | {"query": "apple"}).status_code == 200
    assert [asked.query for asked in service.engine.asked] == ["röd äpple", "apple", None]
    service.event_log.close()
    assert rows(log_path, "SELECT query FROM impressions") == [("röd äpple",), ("apple",), (None,)]
    assert rows(log_path, "SELECT query FROM interactions") == [("apple",)]


@pytest.mark.parametrize("route", ["/v1/rank", "/v1/recommend", "/v1/events"])
def test_a_query_holds_at_most_2000_characters(client, route):
    body = {
        "/v1/rank": {"user_id": "u", "candidates": ["a"]},
        "/v1/recommend": {"user_id": "u"},
        "/v1/events": CLICK,
    }[route]
    assert client.post(route, json=body | {"query": "🎄" * 2000}).status_code == 200
    assert_problem(client.post(route, json=body | {"query": "🎄" * 2001}), 400, "$.query", "length <= 2000")


def test_the_server_is_alive_but_not_ready_until_the_engine_is_loaded(client, service):
    engine, service.engine = service.engine, None
    assert client.get("/livez").status_code == 200
    assert_problem(client.get("/readyz"), 503, None, "still loading")
    answer = client.post("/v1/rank", json={"user_id": "u", "candidates": ["a"]})
    assert_problem(answer, 503, None, "still loading")
    assert answer.headers["retry-after"] == "1"
    assert client.post("/v1/events", json=CLICK).status_code == 200

    service.engine = engine
    assert client.get("/readyz").json() == {"status": "ready", "bundle": "fake-1"}
    assert client.post("/v1/rank", json={"user_id": "u", "candidates": ["a"]}).status_code == 200


def test_a_fault_of_the_engine_is_a_500_whose_log_names_the_place_and_not_the_user(client, service, caplog):
    class BrokenEngine(FakeEngine):
        def rank(self, asked, candidates):
            raise KeyError(f"{asked.user_id} {asked.query}")

    service.engine = BrokenEngine()
    request = {"user_id": "very-secret", "candidates": ["a"], "query": "very-secret words"}
    answer = client.post("/v1/rank", json=request)
    assert_problem(answer, 500, None, "the server failed on this request")
    assert "a request failed with KeyError" in caplog.text
    assert "test_api.py" in caplog.text
    assert "very-secret" not in caplog.text + answer.text


def test_the_examples_of_the_description_are_accepted_by_the_server(client, service):
    service.engine.catalogue.append(openapi.SIMILAR_REQUEST["item_id"])
    description = client.get("/openapi.json").json()
    for route in POST_ROUTES:
        bodies = description["paths"][route]["post"]["requestBody"]["content"]["application/json"]["schema"]["examples"]
        assert bodies
        for body in bodies:
            assert client.post(route, json=body).status_code == 200


@pytest.mark.parametrize(
    ("route", "request_body", "example"),
    [
        ("/v1/rank", {"user_id": "u", "candidates": ["a", "zz"]}, openapi.RANK_ANSWER),
        ("/v1/recommend", {"user_id": "u", "explain": True}, openapi.RECOMMEND_ANSWER),
        ("/v1/explain", {"user_id": "u", "items": ["a", "zz"]}, openapi.EXPLAIN_ANSWER),
        ("/v1/similar", {"item_id": "a"}, openapi.SIMILAR_ANSWER),
        ("/v1/users", {"user_id": "u", "age": 3}, openapi.USERS_ANSWER),
        ("/v1/events", CLICK, openapi.EVENTS_ANSWER),
        ("/v1/items", {"item_id": "g", "title": "Item g"}, openapi.ITEMS_ANSWER),
        ("/v1/rank", {}, openapi.PROBLEM),
    ],
)
def test_the_examples_of_answers_have_the_fields_of_answers(client, route, request_body, example):
    answer = client.post(route, json=request_body).json()
    assert answer.keys() == example.keys()
    for nested in answer.keys() & {"items", "results"}:
        assert answer[nested][0].keys() == example[nested][0].keys()


def test_the_documentation_names_every_route_and_loads_nothing_from_elsewhere(client):
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    others = ["/v1/items/{item_id}", "/v1/items/{item_id}/similar", "/v1/trending", "/v1/users/{user_id}"]
    for route in [*POST_ROUTES, *others, "/livez", "/readyz"]:
        assert route in page.text
    assert "candidates" in page.text
    # Of a field that may be null, and of one that tells events apart.
    assert "<td>integer or null, optional</td><td>At most serving.max_candidates; 10 if absent</td>" in page.text
    assert "<td>interaction</td>" in page.text
    assert "curl -X POST" in page.text
    links = set(re.findall(r'(?:src|href)="([^"]*)"', page.text))
    types = {link for link in links if link.startswith("#")}
    assert links - types == {"data:,", "/openapi.json"}
    assert {link.removeprefix("#") for link in types} <= set(re.findall(r'id="(\w+)"', page.text))
    assert "<script" not in page.text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
near_misses = st.dictionaries(
    st.sampled_from(
        [
            "user_id",
            "candidates",
            "limit",
            "exclude",
            "events",
            "item_id",
            "event_type",
            "timestamp",
            "items",
            "title",
            "users",
            "filter",
            "offset",
            "page",
            "deadline_ms",
        ]
    ),
    json_values | st.sampled_from(["u", "click", ["a"], [CLICK], "2011-12-09T12:50:00Z", "0001-01-01T00:00:00+23:59"]),
)


@pytest.mark.parametrize("route", POST_ROUTES)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary() | st.builds(lambda value: json.dumps(value).encode(), json_values | near_misses))
def test_no_body_makes_the_server_fail(client, route, body):
    answer = client.post(route, content=body)
    assert answer.status_code in ((200, 400, 404, 422) if route == "/v1/similar" else (200, 400, 422))
    if answer.status_code != 200:
        assert answer.json()["path"].startswith("$")


# Freshness


def test_an_acknowledged_event_is_followed_before_the_answer(client, service):
    client.post("/v1/events", json=CLICK)
    assert service.engine.caught_up == 1
    service.engine = None
    assert client.post("/v1/events", json=CLICK).status_code == 200


OF_ENGINE = ("recsys_bundle", "recsys_snapshot", "recsys_latest", "recsys_events_followed", "recsys_rules")


def test_the_metrics_say_how_stale_the_features_are(client, service, monkeypatch):
    of_log = {f"recsys_event_log_{name}" for name in ("failing", "waiting", "bytes")}
    of_log.add("recsys_impressions_dropped_total")
    monkeypatch.setattr("serving.metrics.time.time", lambda: 1200.0)
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    values = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    of_engine = {name: value for name, value in values.items() if name.startswith(OF_ENGINE)}
    assert of_engine == {
        'recsys_bundle_info{bundle="fake-1"}': "1.0",
        "recsys_snapshot_age_seconds": "140.0",
        "recsys_snapshot_staleness_seconds": "200.0",
        "recsys_latest_event_age_seconds": "100.0",
        "recsys_events_followed": "7.0",
        "recsys_rules_refused": "0.0",
    }
    service.engine = None
    left = {line.split()[0] for line in client.get("/metrics").text.splitlines() if not line.startswith("#")}
    assert left >= of_log
    assert not [name for name in left if name.startswith(OF_ENGINE)]
