"""The HTTP application: its routes, its errors and its description.

app = create_app(Service(event_log, config, engine))
"""

from typing import Any, Final

from litestar import Litestar, Request, get
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import PathItem

import recsys
from serving.docs import DocsPage
from serving.events import NotStoredError
from serving.feedback import events
from serving.items import delete_item, items
from serving.listing import similar, similar_by_body, trending
from serving.metrics import metrics
from serving.openapi import NOT_READY
from serving.problems import answer_failure, answer_http_error, answer_not_stored
from serving.ranking import explain, rank, recommend
from serving.service import Service, service_of
from serving.users import delete_user, users

_OPENAPI_MEDIA_TYPE: Final = "application/vnd.oai.openapi+json"


def create_app(service: Service) -> Litestar:
    """The application; the caller closes the event log after it."""
    app = Litestar(
        [
            rank,
            recommend,
            explain,
            similar,
            similar_by_body,
            trending,
            events,
            items,
            delete_item,
            users,
            delete_user,
            livez,
            readyz,
            metrics,
            openapi,
        ],
        openapi_config=OpenAPIConfig(
            title=f"recsys – {service.config.name}",
            version=recsys.__version__,
            path="/docs",
            render_plugins=[DocsPage()],
            use_handler_docstrings=True,
        ),
        exception_handlers={
            HTTPException: answer_http_error,
            NotStoredError: answer_not_stored,
            Exception: answer_failure,
        },
        return_dto=None,
        # Both would otherwise follow the environment: a traceback in an answer, and bodies in a log.
        debug=False,
        logging_config=None,
    )
    app.state.service = service
    _name_path(app, similar.operation_id, "/v1/items/{item_id}/similar")
    return app


def _name_path(app: Litestar, operation_id: Any, path: str) -> None:
    """Describe a GET by the path that is called: what the router knows of one with an id of any signs is its start."""
    paths = app.openapi_schema.paths or {}
    (item,) = [found for found in paths.values() if found.get and found.get.operation_id == operation_id]
    paths[path] = PathItem(get=item.get)
    item.get = None


@get("/livez", operation_id="livez")
async def livez() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@get("/readyz", operation_id="readyz", responses={503: NOT_READY})
async def readyz(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The engine is loaded: send requests here. `rules` is there only while newer ones are refused."""
    service = service_of(request)
    ready = {"status": "ready", "bundle": service.ready_engine().bundle_id}
    if service.rules_refused:
        ready["rules"] = "those of recsys.toml are refused, the log says why; those before them stay in force"
    return ready


@get("/openapi.json", include_in_schema=False, media_type=_OPENAPI_MEDIA_TYPE)
async def openapi(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return request.app.openapi_schema.to_schema()
