"""The HTTP application: its routes, its errors and its description.

app = create_app(Service(event_log, config, engine, keys=LiveKeys(KeysFile(path))))
"""

from typing import Any, Final

from litestar import Litestar, Request, Router, get
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import PathItem

import recsys
from serving.access import OPEN, declared_needs, gate_of
from serving.bundle_routes import bundles, promote_bundle, rollback_bundle
from serving.docs import DocsPage
from serving.events import NotStoredError
from serving.exact_openapi import describe_bodies
from serving.feedback import events
from serving.forgetting.route import forget_user
from serving.gate import Gate
from serving.items import delete_item, items
from serving.listing import similar, similar_by_body, trending, trending_by_body
from serving.metarank import metarank_feedback, metarank_rank
from serving.methods import addresses_of, answer_options
from serving.metrics import metrics
from serving.openapi import NOT_READY
from serving.problems import answer_failure, answer_http_error, answer_not_stored
from serving.ranking import explain, rank, recommend
from serving.security_headers import add_security_headers, cors
from serving.security_openapi import COMPONENTS, describe_access
from serving.service import Service
from serving.users import delete_user, users
from serving.watch import Follower, Watch
from serving.watching import note_answer

_OPENAPI_MEDIA_TYPE: Final = "application/vnd.oai.openapi+json"


def create_app(*services: Service, follower: Follower | None = None) -> Litestar:
    """The application of one project or more, told apart by their keys; the caller closes the event logs after it.

    follower  is told of each request when it is over

    Raises UndeclaredRouteError when a route does not say who may ask for it.
    """
    first, watch = services[0], Watch(services, follower)
    routes = [
        rank,
        recommend,
        explain,
        similar,
        similar_by_body,
        trending,
        trending_by_body,
        events,
        items,
        delete_item,
        users,
        delete_user,
        forget_user,
        bundles,
        promote_bundle,
        rollback_bundle,
        metarank_rank,
        metarank_feedback,
        livez,
        readyz,
        metrics,
    ]
    app = Litestar(
        [answer_options(routes), *routes, openapi],
        openapi_config=OpenAPIConfig(
            # Everybody can read it: it names no project of several.
            title=f"recsys – {first.config.name}" if len(services) == 1 else "recsys",
            version=recsys.__version__,
            openapi_router=Router("/docs", route_handlers=[], guards=[OPEN], include_in_schema=False),
            components=COMPONENTS,
            render_plugins=[DocsPage()],
            use_handler_docstrings=True,
        ),
        exception_handlers={
            HTTPException: answer_http_error,
            NotStoredError: answer_not_stored,
            Exception: answer_failure,
        },
        return_dto=None,
        # The guard of each route has the limit of the key.
        request_max_body_size=None,
        before_send=[add_security_headers],
        middleware=[watch],
        after_request=note_answer,
        cors_config=cors(first.config.security.cors_origins),
        # Both would otherwise follow the environment: a traceback in an answer, and bodies in a log.
        debug=False,
        logging_config=None,
    )
    app.state.gate, app.state.watch = Gate(services), watch
    describe_access(app, declared_needs(app))
    describe_bodies(app)
    _name_path(app, similar.operation_id, "/v1/items/{item_id}/similar")
    app.state.addresses = addresses_of(app)
    return app


def _name_path(app: Litestar, operation_id: Any, path: str) -> None:
    """Describe a GET by the path that is called: what the router knows of one with an id of any signs is its start."""
    paths = app.openapi_schema.paths or {}
    (item,) = [found for found in paths.values() if found.get and found.get.operation_id == operation_id]
    paths[path] = PathItem(get=item.get)
    item.get = None


@get("/livez", operation_id="livez", guards=[OPEN])
async def livez() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@get("/readyz", operation_id="readyz", guards=[OPEN], responses={503: NOT_READY})
async def readyz(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The engine is loaded, of every project: send requests here.

    Of a server of one project also its bundle; `refused` or `rules` while a newer one, or newer rules, are refused; and
    `store` while the object store of the bundles cannot be followed.
    """
    services = gate_of(request).services
    engines = [service.ready_engine() for service in services]
    if len(services) > 1:
        return {"status": "ready"}
    ready = {"status": "ready", "bundle": engines[0].bundle_id}
    if services[0].bundle_refused:
        ready["refused"] = "the champion or its features cannot be loaded, the log says why; what was before serves on"
    if services[0].mirror is not None and services[0].mirror.problem is not None:
        ready["store"] = services[0].mirror.problem
    if services[0].rules_refused:
        ready["rules"] = "those of recsys.toml are refused, the log says why; those before them stay in force"
    return ready


@get("/openapi.json", guards=[OPEN], include_in_schema=False, media_type=_OPENAPI_MEDIA_TYPE)
async def openapi(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return request.app.openapi_schema.to_schema()
