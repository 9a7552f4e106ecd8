"""OPTIONS and 405 name the methods of the address that was asked for."""

import pytest

from tests.serving.keyed import add_key, bearer, keyed_client

METHODS = [
    ("/v1/rank", "OPTIONS, POST"),
    ("/v1/rank/", "OPTIONS, POST"),
    ("/v1//rank", "OPTIONS, POST"),
    ("/v1/trending", "GET, OPTIONS, POST"),
    ("/v1/trending?limit=1", "GET, OPTIONS, POST"),
    ("/v1/items", "OPTIONS, POST"),
    ("/v1/items/a", "DELETE, OPTIONS"),
    ("/v1/items/a%2Fsimilar", "DELETE, OPTIONS"),
    ("/v1/items/similar", "DELETE, OPTIONS"),
    ("/v1/items/a/similar", "GET, OPTIONS"),
    ("/v1/items/a%2Fb/similar", "GET, OPTIONS"),
    ("/v1/users/u", "DELETE, OPTIONS"),
    ("/v1/users/u/data", "DELETE, OPTIONS"),
    ("/v1/bundles", "GET, OPTIONS"),
    ("/v1/bundles/rollback", "OPTIONS, POST"),
    ("/v1/bundles/b/promote", "OPTIONS, POST"),
    ("/compat/metarank/rank/any", "OPTIONS, POST"),
    ("/livez", "GET, OPTIONS"),
    ("/openapi.json", "GET, OPTIONS"),
    ("/docs", "GET, OPTIONS"),
]


@pytest.fixture
def client(tmp_path):
    with keyed_client(tmp_path) as (client, file):
        client.headers = bearer(add_key(file))
        yield client


@pytest.mark.parametrize(("address", "methods"), METHODS)
def test_options_names_the_methods_of_an_address_and_so_does_a_405(client, address, methods):
    answer = client.options(address)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, methods, b"")
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - set(methods.split(", ")):
        answer = client.request(method, address)
        assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
        assert sorted(answer.headers["allow"].split(", ")) == methods.split(", ")


def test_options_needs_no_key_and_there_is_no_answer_where_there_is_no_route(client):
    assert client.options("/v1/items/a", headers={"authorization": ""}).status_code == 204
    # The router finds the last one, and no handler knows it.
    for nothing in ("/nothing", "/v1//items/a"):
        assert client.options(nothing).status_code == client.delete(nothing).status_code == 404


def test_an_item_is_not_deleted_at_the_address_of_what_is_similar_to_it(client):
    assert client.delete("/v1/items/a/similar").status_code == 405
    assert client.get("/v1/items/a/similar").status_code == 200
    assert client.delete("/v1/items/a").json() == {"status": "deleted", "item_id": "a"}
