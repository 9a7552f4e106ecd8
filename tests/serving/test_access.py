from typing import Any

import pytest
from litestar import Litestar, get
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from serving.access import OPEN, UndeclaredRouteError, declared_needs, needs
from tests.serving.keyed import SCOPES, add_key, bearer, keyed_client

OPEN_ROUTES = {"/livez", "/readyz", "/openapi.json", "/docs"}
"""What answers without a key; /docs with all below it."""


def routes(client: TestClient[Any]) -> list[tuple[str, str]]:
    """Method and path of every route of the application, but for Litestar's own OPTIONS."""
    found = [
        (method, route.path_format)
        for route in client.app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods - {"OPTIONS"}
    ]
    assert len(found) > 8
    return found


def is_open(path: str) -> bool:
    return path in OPEN_ROUTES or path.startswith("/docs/")


def test_every_route_but_the_open_ones_is_closed_without_a_key_and_without_its_scope(tmp_path):
    with keyed_client(tmp_path) as (client, file):
        by_scope = {scope: add_key(file, scope) for scope in SCOPES}
        for method, path in routes(client):
            status = client.request(method, path).status_code
            assert (status == 401) is (not is_open(path)), (method, path, status)
            if not is_open(path):
                opened = [
                    scope
                    for scope, key in by_scope.items()
                    if client.request(method, path, headers=bearer(key)).status_code != 403
                ]
                assert len(opened) == 1, (method, path, opened)


def test_each_route_needs_the_scope_of_what_it_does(tmp_path):
    with keyed_client(tmp_path) as (client, _):
        found = {
            handler.operation_id: guard.scope
            for handler, guard in declared_needs(client.app).items()
            if guard.scope is not None
        }
    expected = {"rank": "rank", "recommend": "rank", "similar": "rank", "metrics": "metrics"}
    expected |= {"events": "ingest", "items": "ingest", "delete_item": "ingest"}
    expected |= {"bundles": "admin", "promote_bundle": "admin", "rollback_bundle": "admin"}
    assert found.items() >= expected.items()


def test_an_application_with_a_route_that_says_nothing_does_not_start():
    @get("/free")
    async def free() -> str:
        return "free"

    with pytest.raises(UndeclaredRouteError, match=r"/free: .* has 0 guards .* give it guards=\[needs"):
        declared_needs(Litestar([free], openapi_config=None, logging_config=None))


def test_a_route_that_says_two_things_is_refused():
    @get("/both", guards=[OPEN, needs("admin")])
    async def both() -> str:
        return "both"

    with pytest.raises(UndeclaredRouteError, match=r"/both: .* has 2 guards"):
        declared_needs(Litestar([both], openapi_config=None, logging_config=None))
