"""The routes whose items are the same for everybody: similar items and trending ones.

GET /v1/items/{item_id}/similar, POST /v1/similar and GET /v1/trending.
"""

from typing import Annotated, Any, Final

from litestar import Request, get, post
from litestar.exceptions import NotFoundException
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, QueryParameter

from recsys.rules.expression import ExpressionError
from serving import openapi
from serving.access import needs
from serving.body import JsonBody
from serving.openapi import NO_SUCH_ITEM, NO_SUCH_SURFACE, NOT_READY, REFUSED, answered
from serving.paths import id_in_path
from serving.problems import invalid
from serving.showing import IN_BODY, IN_QUERY, Showing
from serving.types import MAX_DEADLINE_MS, ListAnswer, RankedList, SimilarRequest, TrendingRequest

NOT_ANSWERED: Final = {400: REFUSED, 422: NO_SUCH_SURFACE, 503: NOT_READY}

Limit = Annotated[int | None, QueryParameter(ge=1, description="At most serving.max_candidates; 10 if absent")]
Offset = Annotated[int, QueryParameter(ge=0, description="Items to leave out in front")]
Surface = Annotated[str | None, QueryParameter(min_length=1, max_length=256, description="Whose rules are followed")]
Where = Annotated[
    str | None,
    QueryParameter(min_length=1, max_length=2000, description="A condition that each item meets"),
]
User = Annotated[
    str | None,
    QueryParameter(min_length=1, max_length=256, description="Whom the answer is shown to; it is then logged"),
]
Deadline = Annotated[
    float | None, QueryParameter(gt=0, le=MAX_DEADLINE_MS, description="Milliseconds that the answer may take")
]


@post(
    "/v1/similar",
    operation_id="similar_by_body",
    guards=[needs("rank")],
    dto=JsonBody[SimilarRequest],
    status_code=200,
    responses={200: answered(ListAnswer, openapi.SIMILAR_ANSWER), 404: NO_SUCH_ITEM, **NOT_ANSWERED},
)
async def similar_by_body(
    data: Annotated[SimilarRequest, Body(examples=[Example(value=openapi.SIMILAR_REQUEST)])],
    request: Request[Any, Any, Any],
) -> ListAnswer:
    """The same as GET /v1/items/{item_id}/similar, for ids and filters that do not go well into an address."""
    return _similar(request, data, IN_BODY)


@get(
    "/v1/items/{item_id:path}",
    operation_id="similar",
    guards=[needs("rank")],
    responses={200: answered(ListAnswer, openapi.SIMILAR_ANSWER), 404: NO_SUCH_ITEM, **NOT_ANSWERED},
)
async def similar(
    item_id: FromPath[str],
    request: Request[Any, Any, Any],
    user_id: User = None,
    limit: Limit = None,
    offset: Offset = 0,
    surface: Surface = None,
    filter: Where = None,
    deadline_ms: Deadline = None,
) -> ListAnswer:
    """Find items like a given one, the same for everybody: by text, by who chose both, and by what it foretells.

    With a user_id the answer is logged as shown to that user. To order the items by a user's interest, send them to
    /v1/rank.
    """
    found = id_in_path(request, "/v1/items/", "/similar")
    if found is None:
        raise NotFoundException
    _check_parameters(request)
    order = SimilarRequest(
        item_id=found,
        user_id=user_id,
        limit=limit,
        offset=offset,
        surface=surface,
        filter=filter,
        deadline_ms=deadline_ms,
    )
    return _similar(request, order, IN_QUERY)


@get(
    "/v1/trending",
    operation_id="trending",
    guards=[needs("rank")],
    responses={200: answered(ListAnswer, openapi.TRENDING_ANSWER), **NOT_ANSWERED},
)
async def trending(
    request: Request[Any, Any, Any],
    user_id: User = None,
    limit: Limit = None,
    offset: Offset = 0,
    surface: Surface = None,
    filter: Where = None,
    deadline_ms: Deadline = None,
) -> ListAnswer:
    """Find items that more users than before discover just now, and behind them what most users choose."""
    _check_parameters(request)
    order = TrendingRequest(
        user_id=user_id, limit=limit, offset=offset, surface=surface, filter=filter, deadline_ms=deadline_ms
    )
    showing = Showing(request, order, user_id, IN_QUERY)
    asked = showing.asked(limit=showing.default_limit(limit, offset), offset=offset)
    try:
        found = showing.engine.trending(asked)
    except ExpressionError as error:
        raise showing.bad_filter(error) from error
    return _answer(showing, found, route="trending", first=offset + 1)


def _similar(request: Request[Any, Any, Any], order: SimilarRequest, fields_at: str) -> ListAnswer:
    showing = Showing(request, order, order.user_id, fields_at)
    asked = showing.asked(limit=showing.default_limit(order.limit, order.offset), offset=order.offset)
    if not showing.engine.has_item(order.item_id):
        raise NotFoundException("$.item_id: the catalogue has no such item", extra={"path": "$.item_id"})
    try:
        found = showing.engine.similar(asked, order.item_id)
    except ExpressionError as error:
        raise showing.bad_filter(error) from error
    return _answer(showing, found, route="similar", first=order.offset + 1)


def _answer(showing: Showing, found: RankedList, *, route: str, first: int) -> ListAnswer:
    showing.log(found, route=route)
    return ListAnswer(
        request_id=showing.request_id,
        bundle=showing.bundle,
        took_ms=showing.took_ms(),
        degraded=showing.degraded(found),
        experiment=showing.experiment,
        items=showing.items(found, first=first),
    )


PARAMETERS: Final = frozenset({"user_id", "limit", "offset", "surface", "filter", "deadline_ms"})


def _check_parameters(request: Request[Any, Any, Any]) -> None:
    if unknown := request.query_params.keys() - PARAMETERS:
        raise invalid(f"{IN_QUERY}{min(unknown)}", f"no such parameter; expected some of {sorted(PARAMETERS)}")
