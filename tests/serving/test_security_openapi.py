from typing import Any

import pytest

from tests.serving.keyed import keyed_client


@pytest.fixture
def description(tmp_path) -> dict[str, Any]:
    with keyed_client(tmp_path) as (client, _):
        return client.get("/openapi.json").json()


def test_both_ways_to_send_a_key_are_described(description):
    schemes = description["components"]["securitySchemes"]
    assert (schemes["bearer"]["type"], schemes["bearer"]["scheme"]) == ("http", "bearer")
    assert (schemes["api_key"]["in"], schemes["api_key"]["name"]) == ("header", "X-API-Key")


def test_a_route_says_which_scope_it_needs_and_what_it_answers_to_others(description):
    rank = description["paths"]["/v1/rank"]["post"]
    assert rank["security"] == [{"bearer": ["rank"]}, {"api_key": ["rank"]}]
    assert {"200", "400", "401", "403", "413", "422", "429"} <= rank["responses"].keys()
    assert list(rank["responses"]["401"]["content"]) == ["application/problem+json"]
    assert rank["responses"]["401"]["headers"].keys() == {"WWW-Authenticate"}
    assert rank["responses"]["429"]["headers"].keys() == {"Retry-After"}
    assert rank["responses"]["403"]["description"] == "The key does not have the scope rank"
    assert "413" not in description["paths"]["/v1/items/{item_id}"]["delete"]["responses"]


def test_an_open_route_says_that_it_needs_none(description):
    livez = description["paths"]["/livez"]["get"]
    assert livez["security"] == []
    assert "401" not in livez["responses"]


def test_the_page_says_it_too(tmp_path):
    with keyed_client(tmp_path) as (client, _):
        page = client.get("/docs").text
    assert "Needs a key with the scope <code>ingest</code>" in page
    assert "-H &quot;Authorization: Bearer $RECSYS_KEY&quot;" in page
