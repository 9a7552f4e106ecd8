"""The routes of Metarank, for its clients: POST /compat/metarank/rank/{model} and POST /compat/metarank/feedback.

There is one model, whatever the address names: the champion, or what an experiment gives the user. A rank request is
not logged as shown; that is what the ranking event of its client says.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
import polars as pl
from litestar import Request, post
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath, QueryParameter

from recsys.parsing import read_time
from recsys.schema import ITEM_ID, TIMESTAMP, TITLE, USER_ID
from serving import openapi
from serving.access import needs
from serving.body import JsonBody
from serving.feedback import MAX_AHEAD
from serving.item_types import Item, ItemVersion
from serving.items import store_items
from serving.metarank_body import FeedbackBody
from serving.metarank_types import (
    Event,
    FeedbackResponse,
    Field,
    InteractionEvent,
    ItemEvent,
    RankedScore,
    Ranking,
    RankingEvent,
    RankResponse,
    RefusedEvent,
    UserEvent,
)
from serving.openapi import IMPOSSIBLE, NOT_READY, REFUSED, UNAVAILABLE, answered
from serving.problems import explain_decoding, nothing_stored, unprocessable
from serving.rules import DEFAULT_SURFACE
from serving.service import Service, service_of
from serving.showing import Showing
from serving.types import Impression, Interaction, Order, Refusal, ShownExperiment
from serving.user_types import UserVersion

SURFACE: Final = "metarank"
"""Of what a ranking event showed."""

QUERY_FIELD: Final = "query"
VALUE_FIELD: Final = "value"
MAX_QUERY: Final = 2000


@post(
    "/compat/metarank/rank/{model:str}",
    operation_id="metarank_rank",
    guards=[needs("rank")],
    dto=JsonBody[Ranking],
    status_code=200,
    responses={
        200: answered(RankResponse, openapi.METARANK_RANK_ANSWER),
        400: REFUSED,
        422: IMPOSSIBLE,
        503: NOT_READY,
    },
)
async def metarank_rank(
    model: FromPath[str],
    data: Annotated[Ranking, Body(examples=[Example(value=openapi.METARANK_RANKING)])],
    request: Request[Any, Any, Any],
    explain: Annotated[bool, QueryParameter(description="Give the reasons for each place as features")] = False,
) -> RankResponse:
    """Order the items of a Metarank ranking. Unknown items come last, with a score of 0.

    Those that the rules of the surface `default` hide are left out.
    """
    showing = Showing(request, Order(), data.user or data.session)
    # That of the ranking event to come, with which the list of a shadow is compared.
    showing.request_id = data.id
    candidates = list(dict.fromkeys(item.id for item in data.items))
    if len(candidates) > showing.maximum:
        raise unprocessable("$.items", f"{len(candidates)} items; expected at most {showing.maximum} in a request")
    asked = showing.asked(limit=None, query=_query(data.fields, "$.fields"), explain=explain)
    if showing.scores_together:
        asked = await showing.engine.with_interest(asked, candidates)
    ranked = showing.answer(asked, lambda engine, asked: engine.rank(asked, candidates))
    items = [
        RankedScore(
            item.item_id,
            item.score,
            [{"name": each.reason, "value": each.contribution} for each in item.reasons],
        )
        for item in ranked.items
    ]
    # Its clients expect every item that they sent.
    items += [RankedScore(item, 0.0) for item in ranked.unknown]
    return RankResponse(round(showing.took_ms()), items)


@post(
    "/compat/metarank/feedback",
    operation_id="metarank_feedback",
    guards=[needs("ingest")],
    dto=FeedbackBody,
    status_code=200,
    responses={
        200: answered(FeedbackResponse, openapi.METARANK_FEEDBACK_ANSWER),
        400: REFUSED,
        422: IMPOSSIBLE,
        503: UNAVAILABLE,
    },
)
async def metarank_feedback(
    data: Annotated[
        dict[str, Event | Refusal],
        Body(examples=[Example(value=openapi.METARANK_INTERACTION), Example(value=openapi.METARANK_ITEM)]),
    ],
    request: Request[Any, Any, Any],
) -> FeedbackResponse:
    """Store events of Metarank: one, a list, or one on each line. What cannot be stored is named under `refused`.

    An event of an item or a user replaces all that was known of it, other than in Metarank, where it tells a part. If
    every event is refused the answer is 400 where one of them is not as described here, else 422.
    """
    started = time.perf_counter()
    service = service_of(request)
    moments = _moments(data)
    found = [
        event if isinstance(event, Refusal) else _read(service, event, at, moment)
        for (at, event), moment in zip(data.items(), moments, strict=True)
    ]
    refusals = [each for each in found if isinstance(each, Refusal)]
    refused = [RefusedEvent(each.path, each.reason) for each in refusals]
    if len(refused) == len(found):
        raise nothing_stored(refusals, "event", refused)
    await _store(service, [each for each in found if not isinstance(each, Refusal)])
    took = round((time.perf_counter() - started) * 1000)
    return FeedbackResponse(len(found) - len(refused), "partial" if refused else "ok", took, 0, refused)


Entry = Interaction | Impression | ItemVersion | UserVersion


async def _store(service: Service, entries: Sequence[Entry]) -> None:
    """As the routes of the single kinds do; once this returns all but the impressions are on the disk."""
    items = [each for each in entries if isinstance(each, ItemVersion)]
    users = [each for each in entries if isinstance(each, UserVersion)]
    interactions = [each for each in entries if isinstance(each, Interaction)]
    if items:
        await store_items(service, items)
    if users:
        await asyncio.wrap_future(service.event_log.submit_users(users))
    for each in entries:
        if isinstance(each, Impression):
            service.event_log.show(each)
    if interactions:
        await asyncio.wrap_future(service.event_log.submit(interactions))
        if service.engine is not None:
            service.engine.catch_up()


def _read(service: Service, event: Event, at: str, moment: datetime | None) -> Entry | Refusal:
    """An event as our log has it. What is refused here is an event of Metarank all the same: it is not malformed."""
    if event.timestamp is not None and moment is None:
        return _cannot_store(f"{at}.timestamp", "no time; expected milliseconds or seconds since 1970, or RFC 3339")
    if moment is not None and moment > datetime.now(UTC) + MAX_AHEAD:
        return _cannot_store(f"{at}.timestamp", "in the future; expected at most a day after now")
    match event:
        case ItemEvent():
            columns = _columns(event.fields)
            if TITLE not in columns:
                return _cannot_store(f"{at}.fields", f"none is named {TITLE}; expected all that is known of the item")
            try:
                msgspec.convert({**columns, ITEM_ID: event.item}, Item)
            except msgspec.ValidationError as error:
                # The path names a column, which is an entry of a list here.
                path, reason = explain_decoding(error, at="")
                return _cannot_store(f"{at}.fields", f"{path.lstrip('.')}: {reason}")
            return ItemVersion(event.item, columns, moment)
        case UserEvent():
            return UserVersion(event.user, _columns(event.fields))
    user = event.user or event.session
    if user is None:
        return _cannot_store(f"{at}.user", "neither user nor session; expected one of them")
    fields = _columns(event.fields)
    query = fields.get(QUERY_FIELD)
    query = query[:MAX_QUERY] if isinstance(query, str) else None
    if isinstance(event, RankingEvent):
        return _impression(service, event, user, moment or datetime.now(UTC), query)
    types = service.config.interaction_types
    if event.type not in types:
        return _cannot_store(f"{at}.type", f"not an interaction type of recsys.toml; expected one of {sorted(types)}")
    try:
        value = _value(fields)
    except OverflowError:
        return _cannot_store(f"{at}.fields", f"{VALUE_FIELD}: a number too large; expected one that a float can hold")
    return _interaction(event, user, moment, query, value)


def _cannot_store(path: str, reason: str) -> Refusal:
    return Refusal(path, reason, malformed=False)


def _impression(service: Service, event: RankingEvent, user: str, at: datetime, query: str | None) -> Impression:
    """Its bundle is the one that answers now: Metarank's events do not name it."""
    engine = service.ready_engine()
    parts = service.experiments.parts(user, DEFAULT_SURFACE)
    part = next((each for each in parts if each.variant is not None and each.teams is None), None)
    if part is not None:
        engine = part.experiment.engines[part.variant or ""] or engine
    return Impression(
        request_id=event.id,
        user_id=user,
        timestamp=at,
        items=[item.id for item in event.items],
        surface=SURFACE,
        bundle=engine.bundle_id,
        query=query,
        experiment=None if part is None else ShownExperiment(part.experiment.name, part.variant),
    )


def _interaction(
    event: InteractionEvent, user: str, at: datetime | None, query: str | None, value: float | None
) -> Interaction:
    return Interaction(
        user_id=user,
        item_id=event.item,
        event_type=event.type,
        timestamp=at,
        event_id=event.id,
        request_id=event.ranking,
        value=value,
        query=query,
    )


def _value(fields: Mapping[str, Any]) -> float | None:
    """Raises OverflowError."""
    value = fields.get(VALUE_FIELD)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _moments(events: Mapping[str, Event | Refusal]) -> list[datetime | None]:
    """When each happened, read as an import of Metarank's files reads it; None where that is not said or no time."""
    told = [None if isinstance(event, Refusal) else event.timestamp for event in events.values()]
    texts = [None if each is None else str(each) for each in told]
    return read_time(pl.Series(TIMESTAMP, texts, pl.String)).to_list()


def _columns(fields: Sequence[Field]) -> dict[str, Any]:
    """A list of texts becomes one text, as in an import; the id of its item or user is no field."""
    return {
        field.name: ", ".join(map(str, field.value)) if isinstance(field.value, list) else field.value
        for field in fields
        if field.name not in (ITEM_ID, USER_ID)
    }


def _query(fields: Sequence[Field], at: str) -> str | None:
    query = _columns(fields).get(QUERY_FIELD)
    if isinstance(query, str) and len(query) > MAX_QUERY:
        raise unprocessable(at, f"a query of {len(query)} characters; expected at most {MAX_QUERY}")
    return query if isinstance(query, str) and query else None
