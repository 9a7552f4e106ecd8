"""The routes that order items for a user: POST /v1/rank, POST /v1/recommend and POST /v1/explain."""

from typing import Annotated, Any, Final

from litestar import Request, post
from litestar.openapi.spec import Example
from litestar.params import Body

from recsys.rules.expression import ExpressionError
from serving import openapi
from serving.access import needs
from serving.body import JsonBody
from serving.openapi import IMPOSSIBLE, NOT_READY, REFUSED, answered
from serving.paging import Part
from serving.problems import unprocessable
from serving.showing import Showing
from serving.types import (
    ExplainRequest,
    RankAnswer,
    RankedList,
    RankRequest,
    RecommendAnswer,
    RecommendRequest,
)

NOT_ANSWERED: Final = {400: REFUSED, 422: IMPOSSIBLE, 503: NOT_READY}


# The engine runs in the event loop. It keeps a core busy from start to end, so threads would only take turns and make
# each answer slower, and it would have to be thread-safe. More throughput is more processes. What waits for a disk, the
# event log, has a thread of its own; so has each stage that may hang (serving.stage), which the event loop waits for,
# but no longer than the request may take. Where interest is scored together, a request begins, waits for its batch
# while the event loop takes others, and then is answered from start to end.


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
    showing = Showing(request, data, data.user_id, may_mix=True)
    if len(data.candidates) > showing.maximum:
        raise unprocessable(
            "$.candidates", f"{len(data.candidates)} candidates; expected at most {showing.maximum} in a request"
        )
    asked = showing.asked(limit=data.limit, query=data.query, explain=data.explain)
    candidates = list(dict.fromkeys(data.candidates))
    try:
        if showing.scores_together:
            asked = await showing.engine.with_interest(asked, candidates)
        ranked = showing.answer(asked, lambda engine, asked: engine.rank(asked, candidates))
    except ExpressionError as error:
        raise showing.bad_filter(error) from error
    showing.log(ranked, route="rank", query=data.query)
    return _rank_answer(showing, ranked)


@post(
    "/v1/recommend",
    operation_id="recommend",
    guards=[needs("rank")],
    dto=JsonBody[RecommendRequest],
    status_code=200,
    responses={200: answered(RecommendAnswer, openapi.RECOMMEND_ANSWER), **NOT_ANSWERED},
)
async def recommend(
    data: Annotated[
        RecommendRequest,
        Body(examples=[Example(value=openapi.RECOMMEND_REQUEST), Example(value=openapi.RECOMMEND_FILTERED_REQUEST)]),
    ],
    request: Request[Any, Any, Any],
) -> RecommendAnswer:
    """Find items of the whole catalogue for a user, or for a query; a user that nothing is known of gets an answer.

    For the items that follow send the same request with `page`, the next_page of the answer: none comes twice,
    whatever has happened meanwhile. `offset` counts in the order of this moment, which the next event may change.
    """
    showing = Showing(request, data, data.user_id, may_mix=True)
    part = Part.of(showing, data)
    _check_channels(showing, data.channels)
    asked = showing.asked(
        limit=part.limit,
        offset=part.offset,
        page=part.page,
        query=data.query,
        channels=data.channels,
        explain=data.explain,
    )
    try:
        ranked = showing.answer(
            asked,
            lambda engine, asked: engine.recommend(asked, exclude=data.exclude, exclude_seen=data.exclude_seen),
        )
    except ExpressionError as error:
        raise showing.bad_filter(error) from error
    showing.log(ranked, route="recommend", query=data.query)
    return RecommendAnswer(
        request_id=showing.request_id,
        bundle=showing.bundle,
        took_ms=showing.took_ms(),
        degraded=showing.degraded(ranked),
        experiment=showing.experiment,
        items=showing.items(ranked, first=part.first),
        next_page=part.next_page(showing, ranked),
    )


@post(
    "/v1/explain",
    operation_id="explain",
    guards=[needs("rank")],
    dto=JsonBody[ExplainRequest],
    status_code=200,
    responses={200: answered(RankAnswer, openapi.EXPLAIN_ANSWER), **NOT_ANSWERED},
)
async def explain(
    data: Annotated[ExplainRequest, Body(examples=[Example(value=openapi.EXPLAIN_REQUEST)])],
    request: Request[Any, Any, Any],
) -> RankAnswer:
    """Say why each of these items is where it is among all that /v1/recommend has for the user; nothing is logged.

    `rank` is its place there; one that no channel brought for the user comes with the channel `candidates`.
    """
    showing = Showing(request, data, data.user_id)
    asked = showing.asked(limit=None, query=data.query, explain=True)
    try:
        ranked = showing.engine.explain(asked, list(dict.fromkeys(data.items)))
    except ExpressionError as error:
        raise showing.bad_filter(error) from error
    return _rank_answer(showing, ranked)


def _rank_answer(showing: Showing, ranked: RankedList) -> RankAnswer:
    return RankAnswer(
        request_id=showing.request_id,
        bundle=showing.bundle,
        took_ms=showing.took_ms(),
        degraded=showing.degraded(ranked),
        experiment=showing.experiment,
        items=showing.items(ranked),
        unknown=ranked.unknown,
        filtered=ranked.filtered,
    )


def _check_channels(showing: Showing, channels: list[str] | None) -> None:
    known = showing.engine.channels
    for at, name in enumerate(channels or ()):
        if name not in known:
            raise unprocessable(f"$.channels[{at}]", f"no channel in use here; expected one of {sorted(known)}")
