"""What the description of the API says of keys: which scope a route needs, and what it answers to the wrong one.

Taken from the guards of the routes (serving.access), so that the description cannot say otherwise.
"""

from typing import Any, Final

from litestar import Litestar
from litestar.handlers.http_handlers import HTTPRouteHandler
from litestar.openapi.spec import (
    Components,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Reference,
    Schema,
    SecurityScheme,
)

from serving.access import Needs
from serving.keys import Scope
from serving.problems import MEDIA_TYPE

COMPONENTS: Final = Components(
    security_schemes={
        "bearer": SecurityScheme(
            type="http", scheme="bearer", description="A key of `recsys keys create`, as Authorization: Bearer KEY"
        ),
        "api_key": SecurityScheme(
            type="apiKey", name="X-API-Key", security_scheme_in="header", description="The same key in another header"
        ),
    }
)
"""Either is enough. A server that has no keys yet answers its own machine without."""

_TEXT: Final = Schema(type=OpenAPIType.STRING)
_HEADERS: Final = {
    "401": ("WWW-Authenticate", _TEXT),
    "403": ("WWW-Authenticate", _TEXT),
    "429": ("Retry-After", Schema(type=OpenAPIType.INTEGER)),
}
_MEANINGS: Final = {
    "401": "There is no key, or it is unknown, expired or revoked",
    "403": "The key does not have the scope {scope}",
    "413": "The body is larger than this key may send",
    "429": "The key sent too many requests; Retry-After says in how many seconds to try again",
}


def describe_access(app: Litestar, declared: dict[HTTPRouteHandler, Needs]) -> None:
    """Write into the description of each route that needs a key what it needs, once for the application."""
    scopes = {handler.operation_id: needs.scope for handler, needs in declared.items()}
    for item in (app.openapi_schema.paths or {}).values():
        for operation in (item.get, item.post, item.put, item.patch, item.delete):
            if operation is None:
                continue
            scope = scopes[operation.operation_id]
            operation.security = [] if scope is None else [{"bearer": [scope]}, {"api_key": [scope]}]
            if scope is not None:
                _describe_refusals(operation, scope)


def _describe_refusals(operation: Operation, scope: Scope) -> None:
    responses: dict[str, Any] = dict(operation.responses or {})
    for status, meaning in _MEANINGS.items():
        if status == "413" and operation.request_body is None:
            continue
        responses.setdefault(
            status,
            OpenAPIResponse(
                description=meaning.format(scope=scope),
                headers={name: OpenAPIHeader(schema=schema) for name, schema in [_HEADERS[status]]}
                if status in _HEADERS
                else None,
                content={MEDIA_TYPE: OpenAPIMediaType(schema=Reference(ref="#/components/schemas/Problem"))},
            ),
        )
    operation.responses = dict(sorted(responses.items()))
