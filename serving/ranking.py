"""The routes that order items: POST /v1/rank, POST /v1/recommend and POST /v1/similar."""

import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from litestar import Request, post
from litestar.exceptions import NotFoundException
from litestar.openapi.spec import Example
from litestar.params import Body

from serving import openapi, watching
from serving.access import needs
from serving.body import JsonBody
from serving.openapi import NO_SUCH_ITEM, NO_SUCH_SURFACE, NOT_READY, REFUSED, answered
from serving.problems import invalid, unprocessable
from serving.rules import DEFAULT_SURFACE
from serving.service import Service, caller_of, service_of
from serving.types import (
    AnswerItem,
    Impression,
    RankAnswer,
    RankedList,
    RankRequest,
    RecommendAnswer,
    RecommendRequest,
    SimilarRequest,
)

DEFAULT_LIMIT: Final = 10
NOT_ANSWERED: Final = {400: REFUSED, 422: NO_SUCH_SURFACE, 503: NOT_READY}


# The engine runs in the event loop. It keeps a core busy from start to end, so threads would only take turns and make
# each answer slower, and it would have to be thread-safe. More throughput is more processes. What waits for a disk, the
# event log, has a thread of its own.


@post(
    "/v1/rank",
    operation_id="rank",
    guards=[needs("rank")],
    dto=JsonBody[RankRequest],
    status_code=200,
    responses={200: answered(RankAnswer, openapi.RANK_ANSWER), **NOT_ANSWERED},
)
async def rank(
    data: Annotated[
        RankRequest, Body(examples=[Example(value=openapi.RANK_REQUEST), Example(value=openapi.RANK_QUERY_REQUEST)])
    ],
    request: Request[Any, Any, Any],
) -> RankAnswer:
    """Order my candidates for a user, as answers to a query if there is one; one that is named twice is ranked once."""
    started = time.perf_counter()
    service = service_of(request)
    engine = service.ready_engine()
    maximum = caller_of(request).max_candidates
    if len(data.candidates) > maximum:
        raise invalid("$.candidates", f"{len(data.candidates)} candidates; expected at most {maximum} in a request")
    _check_limit(data.limit, maximum)
    candidates = list(dict.fromkeys(data.candidates))
    surface, request_id = _surface(service, data.surface), watching.request_id()
    ranked = engine.rank(
        data.user_id,
        candidates,
        limit=data.limit,
        query=data.query,
        explain=data.explain,
        surface=surface,
        request_id=request_id,
    )
    _show(service, ranked, data, route="rank", bundle=engine.bundle_id, request_id=request_id)
    return RankAnswer(
        request_id=request_id,
        bundle=engine.bundle_id,
        took_ms=_milliseconds_since(started),
        degraded=ranked.degraded,
        items=_answer_items(ranked),
        unknown=ranked.unknown,
        filtered=ranked.filtered,
    )


@post(
    "/v1/recommend",
    operation_id="recommend",
    guards=[needs("rank")],
    dto=JsonBody[RecommendRequest],
    status_code=200,
    responses={200: answered(RecommendAnswer, openapi.RECOMMEND_ANSWER), **NOT_ANSWERED},
)
async def recommend(
    data: Annotated[RecommendRequest, Body(examples=[Example(value=openapi.RECOMMEND_REQUEST)])],
    request: Request[Any, Any, Any],
) -> RecommendAnswer:
    """Find items of the whole catalogue for a user, or for a query; a user that nothing is known of gets an answer."""
    started = time.perf_counter()
    service = service_of(request)
    engine = service.ready_engine()
    maximum = caller_of(request).max_candidates
    _check_limit(data.limit, maximum)
    limit = data.limit or min(DEFAULT_LIMIT, maximum)
    surface, request_id = _surface(service, data.surface), watching.request_id()
    ranked = engine.recommend(
        data.user_id,
        limit=limit,
        exclude=data.exclude,
        exclude_seen=data.exclude_seen,
        query=data.query,
        explain=data.explain,
        surface=surface,
        request_id=request_id,
    )
    _show(service, ranked, data, route="recommend", bundle=engine.bundle_id, request_id=request_id)
    return RecommendAnswer(
        request_id=request_id,
        bundle=engine.bundle_id,
        took_ms=_milliseconds_since(started),
        degraded=ranked.degraded,
        items=_answer_items(ranked),
    )


@post(
    "/v1/similar",
    operation_id="similar",
    guards=[needs("rank")],
    dto=JsonBody[SimilarRequest],
    status_code=200,
    responses={200: answered(RecommendAnswer, openapi.SIMILAR_ANSWER), 404: NO_SUCH_ITEM, **NOT_ANSWERED},
)
async def similar(
    data: Annotated[SimilarRequest, Body(examples=[Example(value=openapi.SIMILAR_REQUEST)])],
    request: Request[Any, Any, Any],
) -> RecommendAnswer:
    """Find items like a given one, the same for everybody: by text, by who chose both, and by what it foretells.

    With a user_id the answer is logged as shown to that user. To order the items by a user's interest, send them to
    /v1/rank.
    """
    started = time.perf_counter()
    service = service_of(request)
    engine = service.ready_engine()
    maximum = caller_of(request).max_candidates
    _check_limit(data.limit, maximum)
    if not engine.has_item(data.item_id):
        raise NotFoundException("$.item_id: the catalogue has no such item", extra={"path": "$.item_id"})
    surface, request_id = _surface(service, data.surface), watching.request_id()
    limit = data.limit or min(DEFAULT_LIMIT, maximum)
    found = engine.similar(data.item_id, limit=limit, surface=surface, request_id=request_id)
    _show(service, found, data, route="similar", bundle=engine.bundle_id, request_id=request_id)
    return RecommendAnswer(
        request_id=request_id,
        bundle=engine.bundle_id,
        took_ms=_milliseconds_since(started),
        degraded=found.degraded,
        items=_answer_items(found),
    )


def _check_limit(limit: int | None, maximum: int) -> None:
    if limit is not None and limit > maximum:
        raise invalid("$.limit", f"the limit is {limit}; expected at most {maximum}")


def _answer_items(ranked: RankedList) -> list[AnswerItem]:
    return [
        AnswerItem(item.item_id, item.score, place, item.channels, item.title, item.rules, item.reasons)
        for place, item in enumerate(ranked.items, start=1)
    ]


def _surface(service: Service, name: str | None) -> str:
    """Whose rules a request follows. Raises the 422 when it names a surface that there is not, where there are any."""
    known = service.surfaces
    if name is None or not known or name in known or name == DEFAULT_SURFACE:
        return name or DEFAULT_SURFACE
    raise unprocessable("$.surface", f"no such surface; expected one of {sorted({*known, DEFAULT_SURFACE})}")


def _show(
    service: Service,
    ranked: RankedList,
    asked: RankRequest | RecommendRequest | SimilarRequest,
    *,
    route: str,
    bundle: str,
    request_id: str,
) -> None:
    """Log what the answer shows, if anything, and to whom, if that was said.

    On the surface asked for, or the route where there are no surfaces.
    """
    if ranked.items and asked.user_id is not None:
        impression = Impression(
            request_id=request_id,
            user_id=asked.user_id,
            timestamp=datetime.now(UTC),
            items=[item.item_id for item in ranked.items],
            surface=asked.surface or (DEFAULT_SURFACE if service.surfaces else route),
            bundle=bundle,
            query=None if isinstance(asked, SimilarRequest) else asked.query,
            propensities=ranked.propensities,
        )
        service.event_log.show(impression, ranked.features)


def _milliseconds_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
