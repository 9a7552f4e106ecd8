"""Clients of Metarank are answered as its documentation says, and their events are those of our log.

The bodies are those of https://docs.metarank.ai/reference/api and of its page on supported events.
"""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.config import Experiment, Variant
from serving import openapi
from serving.variants import Experiments, Running
from tests.serving.fake_engine import FakeEngine
from tests.serving.logged import rows

RANK, FEEDBACK = "/compat/metarank/rank/xgboost", "/compat/metarank/feedback"
RANKING = """{
    "event": "ranking",
    "id": "id1",
    "items": [
        {"id":"72998"}, {"id":"589"}, {"id":"134130"}, {"id":"5459"},
        {"id":"1917"}, {"id":"2571"}, {"id":"1527"}, {"id":"97752"},
        {"id":"1270"}, {"id":"1580"}, {"id":"109487"}, {"id":"79132"}
    ],
    "user": "alice",
    "session": "alice1",
    "timestamp": 1661431894711
}"""
USER = {
    "event": "user",
    "id": "81f46c34-a4bb-469c-8708-f8127cd67d27",
    "timestamp": "1599391467000",
    "user": "user1",
    "fields": [{"name": "age", "value": 33}, {"name": "gender", "value": "m"}],
}


def test_a_ranking_is_ordered_and_items_that_nobody_knows_come_last(client, service):
    items = [{"id": name, "fields": [{"name": "relevancy", "value": 2.0}]} for name in ("item3", "c", "a")]
    answer = client.post(RANK, json={**openapi.METARANK_RANKING, "items": items})
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {"took", "items"}
    assert isinstance(body["took"], int)
    scores = [{"item": "a", "score": 1.0}, {"item": "c", "score": 0.5}, {"item": "item3", "score": 0.0}]
    assert body["items"] == scores
    (asked,) = service.engine.asked
    assert (asked.user_id, asked.query) == ("user1", "jeans")


def test_the_documented_ranking_is_taken_as_it_is(client):
    answer = client.post(RANK, json=openapi.METARANK_RANKING)
    assert [item["item"] for item in answer.json()["items"]] == ["item3", "item1", "item2"]


def test_explained_rankings_have_reasons_as_features(client):
    answer = client.post(f"{RANK}?explain=true", json={"id": "r", "items": [{"id": "a"}]})
    features = [{"name": "letter", "value": 0.5}, {"name": "base", "value": 0.5}]
    assert answer.json()["items"] == [{"item": "a", "score": 1.0, "features": features}]


def test_a_ranking_is_logged_when_its_event_says_so_and_not_when_it_is_asked_for(client, service, log_path):
    client.post(RANK, json={"id": "id1", "user": "alice", "items": [{"id": "a"}]})
    # As curl -d sends it: with the content type of a form.
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = client.post(FEEDBACK, content=RANKING, headers=form)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"accepted": 1, "status": "ok", "tookMillis": answer.json()["tookMillis"], "updated": 0}
    service.event_log.close()
    ((request_id, user, at, items, surface, bundle),) = rows(
        log_path, "SELECT request_id, user_id, timestamp, items, surface, bundle FROM impressions"
    )
    assert (request_id, user, at, surface, bundle) == ("id1", "alice", 1661431894711000, "metarank", "fake-1")
    assert json.loads(items)[:3] == ["72998", "589", "134130"]


def test_an_interaction_becomes_an_event_of_its_ranking_once(client, service, log_path):
    fields = [{"name": "value", "value": 3.5}, {"name": "query", "value": "cat"}]
    for event in (openapi.METARANK_INTERACTION, {**openapi.METARANK_INTERACTION, "fields": fields}):
        assert client.post(FEEDBACK, json=event).json()["accepted"] == 1
    assert client.post(FEEDBACK, json={**openapi.METARANK_INTERACTION, "id": "2", "fields": fields}).is_success
    columns = "event_id, user_id, item_id, event_type, timestamp, request_id, value, query"
    event, ranking = openapi.METARANK_INTERACTION["id"], openapi.METARANK_INTERACTION["ranking"]
    assert rows(log_path, f"SELECT {columns} FROM interactions") == [
        (event, "user1", "item1", "purchase", 1599391467000000, ranking, None, None),
        ("2", "user1", "item1", "purchase", 1599391467000000, ranking, 3.5, "cat"),
    ]
    assert service.engine.caught_up == 3


def test_items_and_users_are_followed(client, service, log_path):
    answer = client.post(FEEDBACK, json=[openapi.METARANK_ITEM, USER])
    assert answer.json()["accepted"] == 2
    assert "item1" in service.engine.catalogue
    ((columns, updated_at),) = rows(log_path, "SELECT columns, updated_at FROM items")
    assert json.loads(columns) == {"title": "You favourite cat", "color": "white, black", "is_cute": True}
    assert updated_at == 1599391467000000
    ((user, columns),) = rows(log_path, "SELECT user_id, columns FROM users")
    assert (user, json.loads(columns)) == ("user1", {"age": 33, "gender": "m"})


def test_events_on_lines_are_taken_and_bad_ones_named(client, log_path):
    good = json.dumps(openapi.METARANK_INTERACTION)
    bad = [
        {**openapi.METARANK_INTERACTION, "type": "wink"},
        {**openapi.METARANK_INTERACTION, "timestamp": "yesterday"},
        {"event": "interaction", "id": "1", "type": "click", "item": "a"},
        {"event": "item", "item": "b", "fields": [{"name": "price", "value": 2}]},
        {"event": "item", "item": "b", "fields": [{"name": "title", "value": "B"}, {"name": "price", "value": "x"}]},
        {"event": "wedding"},
    ]
    answer = client.post(FEEDBACK, content="\n".join([good, *map(json.dumps, bad)]) + "\n")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["accepted"], body["status"]) == (1, "partial")
    assert [each["path"] for each in body["refused"]] == [
        "$[1].type",
        "$[2].timestamp",
        "$[3].user",
        "$[4].fields",
        "$[5].fields",
        "$[6].event",
    ]
    assert rows(log_path, "SELECT count(*) FROM interactions") == [(1,)]
    assert body["refused"][0].keys() == {"path", "reason"}
    for one, path in zip(bad[:-1], ("type", "timestamp", "user", "fields", "fields"), strict=True):
        alone = client.post(FEEDBACK, json=one)
        assert (alone.status_code, alone.json()["path"]) == (422, f"$.{path}")
    malformed = client.post(FEEDBACK, json=bad)
    assert (malformed.status_code, malformed.json()["path"]) == (400, "$[5].event")
    assert malformed.json()["results"][0].keys() == {"path", "reason"}


def test_a_value_may_be_too_large_and_a_time_may_be_written_with_a_fraction(client, log_path):
    huge = json.dumps(openapi.METARANK_INTERACTION | {"fields": [{"name": "value", "value": 0}]})
    answer = client.post(FEEDBACK, content=huge.replace('"value": 0', f'"value": 1{"0" * 400}'))
    assert (answer.status_code, answer.json()["path"]) == (422, "$.fields")
    assert client.post(FEEDBACK, json=openapi.METARANK_INTERACTION | {"timestamp": 1599391467000.0}).is_success
    assert rows(log_path, "SELECT timestamp FROM interactions") == [(1599391467000000,)]


def test_a_ranking_event_says_which_variant_its_user_has(client, service, log_path):
    other = FakeEngine()
    other.bundle_id = "other"
    experiment = Experiment(variants={"new": Variant(bundle="other", share=1.0)})
    service.experiments = Experiments([Running("e", experiment, {"new": other})])
    client.post(RANK, json={"id": "r", "user": "alice", "items": [{"id": "a"}]})
    assert len(other.asked) == 1
    client.post(FEEDBACK, content=RANKING)
    service.event_log.close()
    assert rows(log_path, "SELECT experiment, variant, bundle FROM impressions") == [("e", "new", "other")]


def test_too_many_items_and_too_long_a_query_are_refused(client):
    answer = client.post(RANK, json={"id": "r", "items": [{"id": str(n)} for n in range(6)]})
    assert (answer.status_code, answer.json()["path"]) == (422, "$.items")
    fields = [{"name": "query", "value": "x" * 2001}]
    answer = client.post(RANK, json={"id": "r", "items": [{"id": "a"}], "fields": fields})
    assert (answer.status_code, answer.json()["path"]) == (422, "$.fields")


@pytest.mark.parametrize("route", [RANK, FEEDBACK])
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary()
    | st.builds(
        lambda fields: json.dumps({"id": "r", "user": "u", "item": "a", "type": "click", **fields}).encode(),
        st.fixed_dictionaries(
            {
                "event": st.sampled_from(["item", "user", "ranking", "interaction", "x", 3]),
                "timestamp": st.integers() | st.text() | st.sampled_from(["99999999999999999999", "20240101", 10**18]),
                "items": st.lists(st.builds(lambda name: {"id": name}, st.text())) | st.text(),
                "fields": st.lists(
                    st.builds(
                        lambda name, value: {"name": name, "value": value},
                        st.sampled_from(["title", "query", "value", "price", "published_at", ""]),
                        st.integers() | st.text() | st.booleans() | st.lists(st.text()) | st.none(),
                    )
                ),
            }
        ),
    )
)
def test_no_body_makes_the_server_fail(client, route, body):
    answer = client.post(route, content=body)
    assert answer.status_code in (200, 400, 422), answer.text
    if answer.status_code != 200:
        assert answer.json()["path"].startswith("$")
