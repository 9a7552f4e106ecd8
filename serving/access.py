"""Who may ask for what: each route says as its guard what it needs.

    @post("/v1/rank", guards=[needs("rank")])
    @get("/livez", guards=[OPEN])

The application does not start with a route that says nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from litestar import Litestar, Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.handlers.http_handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from recsys.errors import RecsysError
from serving.gate import Gate
from serving.keys import Scope

Instead = Callable[[ASGIConnection[Any, Any, Any, Any]], Scope | None]


class UndeclaredRouteError(RecsysError):
    """A route does not say who may ask for it."""


class Needs:
    """The guard of a route; `scope` is None where everybody may ask."""

    def __init__(self, scope: Scope | None, instead: Instead | None = None) -> None:
        """instead  says of a request which other scope it needs; None: this one"""
        self.scope = scope
        self._instead = instead

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        other = None if self._instead is None else self._instead(connection)
        scope = other or self.scope
        if scope is not None:
            assert isinstance(connection, Request)
            gate_of(connection).admit(connection, scope)


OPEN: Final = Needs(None)


def needs(scope: Scope, instead: Instead | None = None) -> Needs:
    """The guard of a route for keys with this scope; `instead` is that of Needs."""
    return Needs(scope, instead)


def gate_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Gate:
    gate = connection.app.state.gate
    assert isinstance(gate, Gate)
    return gate


def declared_needs(app: Litestar) -> dict[HTTPRouteHandler, Needs]:
    """What each route needs; raises UndeclaredRouteError for one that does not say it once.

    Answers to OPTIONS, which hold the names of the methods, are passed over.
    """
    found: dict[HTTPRouteHandler, Needs] = {}
    for route in app.routes:
        handlers: Sequence[Any] = route.route_handlers if isinstance(route, HTTPRoute) else [route.route_handler]
        for handler in handlers:
            if isinstance(handler, HTTPRouteHandler) and handler.http_methods == {"OPTIONS"}:
                continue
            declared = [guard for guard in handler.resolve_guards() if isinstance(guard, Needs)]
            if len(declared) != 1:
                raise UndeclaredRouteError(
                    f"{route.path}: {handler} has {len(declared)} guards of serving.access, expected one; "
                    'give it guards=[needs("rank")] with the scope that it needs, or guards=[OPEN]'
                )
            found[handler] = declared[0]
    return found
