"""The routes whose items are the same for everybody: similar items and trending ones.

GET /v1/items/{item_id}/similar and POST /v1/similar, GET and POST /v1/trending: what a body has, an address has under
the same name.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final

from litestar import Request, get, post
from litestar.exceptions import NotFoundException
from litestar.openapi.spec import Example
from litestar.params import Body, PathParameter, QueryParameter

from recsys.rules.expression import ExpressionError
from serving import openapi
from serving.access import needs
from serving.asked import Asked
from serving.body import JsonBody
from serving.methods import check_method
from serving.openapi import IMPOSSIBLE, NO_SUCH_ITEM, NOT_READY, REFUSED, answered
from serving.paging import Part
from serving.paths import id_in_path
from serving.problems import invalid
from serving.protocol import Engine
from serving.showing import IN_BODY, IN_QUERY, Showing
from serving.types import (
    MAX_DEADLINE_MS,
    ListRequest,
    PagedAnswer,
    RankedList,
    SimilarRequest,
    TrendingRequest,
)

NOT_ANSWERED: Final = {400: REFUSED, 422: IMPOSSIBLE, 503: NOT_READY}


def _example(name: str) -> list[Example]:
    return [Example(value=openapi.LIST_PARAMETERS[name])]


ItemId = Annotated[str, PathParameter(examples=_example("item_id"))]
Limit = Annotated[
    int | None,
    QueryParameter(ge=1, description="At most serving.max_candidates; 10 if absent", examples=_example("limit")),
]
Offset = Annotated[int, QueryParameter(ge=0, description="Items to leave out in front", examples=_example("offset"))]
PageToken = Annotated[
    str | None,
    QueryParameter(
        description="The next_page of an answer: go on from there; no item of it comes again", examples=_example("page")
    ),
]
Exclude = Annotated[
    list[str] | None,
    QueryParameter(
        description="An item that the answer must not hold; once for each: ?exclude=1&exclude=2",
        examples=_example("exclude"),
    ),
]
Surface = Annotated[
    str | None,
    QueryParameter(min_length=1, max_length=256, description="Whose rules are followed", examples=_example("surface")),
]
Where = Annotated[
    str | None,
    QueryParameter(
        min_length=1, max_length=2000, description="A condition that each item meets", examples=_example("filter")
    ),
]
User = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=256,
        description="Whom the answer is shown to; it is then logged",
        examples=_example("user_id"),
    ),
]
Deadline = Annotated[
    float | None,
    QueryParameter(
        gt=0,
        le=MAX_DEADLINE_MS,
        # Litestar leaves the 0 out of its description.
        schema_extra={"exclusive_minimum": 0},
        description="Milliseconds that the answer may take",
        examples=_example("deadline_ms"),
    ),
]


@post(
    "/v1/similar",
    operation_id="similar_by_body",
    guards=[needs("rank")],
    dto=JsonBody[SimilarRequest],
    status_code=200,
    responses={200: answered(PagedAnswer, openapi.SIMILAR_ANSWER), 404: NO_SUCH_ITEM, **NOT_ANSWERED},
)
async def similar_by_body(
    data: Annotated[SimilarRequest, Body(examples=[Example(value=openapi.SIMILAR_REQUEST)])],
    request: Request[Any, Any, Any],
) -> PagedAnswer:
    """The same as GET /v1/items/{item_id}/similar, for what does not go well into an address: ids, filters, pages."""
    return _similar(request, data, IN_BODY)


@get(
    "/v1/items/{item_id:path}",
    operation_id="similar",
    guards=[needs("rank")],
    responses={200: answered(PagedAnswer, openapi.SIMILAR_ANSWER), 404: NO_SUCH_ITEM, **NOT_ANSWERED},
)
async def similar(
    item_id: ItemId,
    request: Request[Any, Any, Any],
    user_id: User = None,
    limit: Limit = None,
    offset: Offset = 0,
    page: PageToken = None,
    exclude: Exclude = None,
    surface: Surface = None,
    filter: Where = None,
    deadline_ms: Deadline = None,
) -> PagedAnswer:
    """Find items like a given one, the same for everybody: by text, by who chose both, and by what it foretells.

    With a user_id the answer is logged as shown to that user. To order the items by a user's interest, send them to
    /v1/rank.
    """
    found = id_in_path(request, "/v1/items/", "/similar")
    if found is None:
        check_method(request)
        raise NotFoundException
    _check_parameters(request)
    order = SimilarRequest(
        item_id=found,
        user_id=user_id,
        limit=limit,
        offset=offset,
        page=page,
        exclude=exclude or [],
        surface=surface,
        filter=filter,
        deadline_ms=deadline_ms,
    )
    return _similar(request, order, IN_QUERY)


@get(
    "/v1/trending",
    operation_id="trending",
    guards=[needs("rank")],
    responses={200: answered(PagedAnswer, openapi.TRENDING_ANSWER), **NOT_ANSWERED},
)
async def trending(
    request: Request[Any, Any, Any],
    user_id: User = None,
    limit: Limit = None,
    offset: Offset = 0,
    page: PageToken = None,
    exclude: Exclude = None,
    surface: Surface = None,
    filter: Where = None,
    deadline_ms: Deadline = None,
) -> PagedAnswer:
    """Find items that more users than before discover just now, and behind them what most users choose."""
    _check_parameters(request)
    order = TrendingRequest(
        user_id=user_id,
        limit=limit,
        offset=offset,
        page=page,
        exclude=exclude or [],
        surface=surface,
        filter=filter,
        deadline_ms=deadline_ms,
    )
    return _trending(request, order, IN_QUERY)


@post(
    "/v1/trending",
    operation_id="trending_by_body",
    guards=[needs("rank")],
    dto=JsonBody[TrendingRequest],
    status_code=200,
    responses={200: answered(PagedAnswer, openapi.TRENDING_ANSWER), **NOT_ANSWERED},
)
async def trending_by_body(
    data: Annotated[TrendingRequest, Body(examples=[Example(value=openapi.TRENDING_REQUEST)])],
    request: Request[Any, Any, Any],
) -> PagedAnswer:
    """The same as GET /v1/trending, for what does not go well into an address: ids, filters, pages."""
    return _trending(request, data, IN_BODY)


def _trending(request: Request[Any, Any, Any], order: TrendingRequest, fields_at: str) -> PagedAnswer:
    def find(engine: Engine, asked: Asked) -> RankedList:
        return engine.trending(asked, exclude=order.exclude)

    return _answer(Showing(request, order, order.user_id, fields_at), order, find, route="trending")


def _similar(request: Request[Any, Any, Any], order: SimilarRequest, fields_at: str) -> PagedAnswer:
    def find(engine: Engine, asked: Asked) -> RankedList:
        if not engine.has_item(order.item_id):
            raise NotFoundException("$.item_id: the catalogue has no such item", extra={"path": "$.item_id"})
        return engine.similar(asked, order.item_id, exclude=order.exclude)

    return _answer(Showing(request, order, order.user_id, fields_at), order, find, route="similar")


def _answer(
    showing: Showing, order: ListRequest, find: Callable[[Engine, Asked], RankedList], *, route: str
) -> PagedAnswer:
    part = Part.of(showing, order)
    asked = showing.asked(limit=part.limit, offset=part.offset, page=part.page)
    try:
        found = find(showing.engine, asked)
    except ExpressionError as error:
        raise showing.bad_filter(error) from error
    showing.log(found, route=route)
    return PagedAnswer(
        request_id=showing.request_id,
        bundle=showing.bundle,
        took_ms=showing.took_ms(),
        degraded=showing.degraded(found),
        experiment=showing.experiment,
        items=showing.items(found, first=part.first),
        next_page=part.next_page(showing, found),
    )


PARAMETERS: Final = frozenset({"user_id", "limit", "offset", "page", "exclude", "surface", "filter", "deadline_ms"})


def _check_parameters(request: Request[Any, Any, Any]) -> None:
    if unknown := request.query_params.keys() - PARAMETERS:
        raise invalid(f"{IN_QUERY}{min(unknown)}", f"no such parameter; expected some of {sorted(PARAMETERS)}")
