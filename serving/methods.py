"""Which methods an address has: what OPTIONS answers, and what a 405 names.

The router takes all that follows /v1/items/ for an id, and Litestar's own answer to OPTIONS has only the methods of the
first handler of a path. So the description of the API is asked, which tells the addresses apart.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from litestar import Litestar, Request, Response, route
from litestar.enums import HttpMethod, MediaType
from litestar.exceptions import MethodNotAllowedException, NotFoundException
from litestar.handlers.http_handlers import HTTPRouteHandler

_PARAMETER: Final = re.compile(r"\{\w+\}")


class Address(NamedTuple):
    """The paths, as they are sent, of one described address, and its methods, OPTIONS among them."""

    pattern: re.Pattern[str]
    methods: list[str]


def addresses_of(app: Litestar) -> list[Address]:
    """Those that the description of the API has; once for the application, which keeps them in its state."""
    described = app.openapi_schema.paths or {}
    found = []
    # The longest first: the id of a shorter one would take in what follows it.
    for template in sorted(described, key=len, reverse=True):
        item = described[template]
        methods = [method.value for method in HttpMethod if getattr(item, method.value.lower()) is not None]
        found.append(Address(_pattern(template), sorted([*methods, HttpMethod.OPTIONS.value])))
    return found


def methods_of(request: Request[Any, Any, Any]) -> list[str]:
    """Those of the address that was asked for, OPTIONS among them; none of one that is not described."""
    path: bytes = request.scope["raw_path"]
    sent = path.partition(b"?")[0].decode("ascii", "replace")
    addresses: list[Address] = request.app.state.addresses
    return next((address.methods for address in addresses if address.pattern.fullmatch(sent)), [])


def check_method(request: Request[Any, Any, Any]) -> None:
    """For a handler whose path takes in other addresses: raises the 405 where the one asked for has other methods."""
    methods = methods_of(request)
    if methods and request.method not in methods:
        raise MethodNotAllowedException


def answer_options(handlers: Sequence[HTTPRouteHandler]) -> HTTPRouteHandler:
    """The handler of OPTIONS for the paths of described ones; to be registered before them."""

    @route(
        sorted({path for handler in handlers for path in handler.paths}),
        http_method=HttpMethod.OPTIONS,
        include_in_schema=False,
    )
    async def options(request: Request[Any, Any, Any]) -> Response[None]:
        methods = methods_of(request)
        if not methods:
            raise NotFoundException
        return Response(None, status_code=204, media_type=MediaType.TEXT, headers={"Allow": ", ".join(methods)})

    return options


def _pattern(template: str) -> re.Pattern[str]:
    """Of the paths that a template describes, as they are sent."""
    if "{" in template:
        return re.compile(".+".join(map(re.escape, _PARAMETER.split(template))))
    # The router passes over doubled and last slashes; of an id they are a part.
    return re.compile(re.escape(template).replace("/", "/+") + "/*")
