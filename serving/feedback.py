"""The route that takes events: POST /v1/events."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from litestar import Request, post
from litestar.openapi.spec import Example
from litestar.params import Body

from serving import openapi
from serving.access import needs
from serving.body import EventsBody
from serving.log_rows import Acknowledged
from serving.openapi import IMPOSSIBLE, NOT_STORED, REFUSED, answered
from serving.problems import nothing_stored
from serving.service import service_of
from serving.types import EventResult, EventsAnswer, Interaction, Refusal

MAX_AHEAD: Final = timedelta(days=1)
"""Clocks of clients are wrong by hours; an event of next week would look like a leak for a week."""


@post(
    "/v1/events",
    operation_id="events",
    guards=[needs("ingest")],
    dto=EventsBody,
    status_code=200,
    responses={
        200: answered(EventsAnswer, openapi.EVENTS_ANSWER),
        400: REFUSED,
        422: IMPOSSIBLE,
        503: NOT_STORED,
    },
)
async def events(
    data: Annotated[
        dict[str, Interaction | Refusal],
        Body(examples=[Example(value=openapi.EVENT_BATCH), Example(value=openapi.EVENT)]),
    ],
    request: Request[Any, Any, Any],
) -> EventsAnswer:
    """Store what users did: one event, or {"events": [event, …]}. The next ranking knows of it.

    There is one result for each event. "stored" and "duplicate" mean that the event is on the disk, once; a "refused"
    event is not stored and says why. If every event is refused the answer is 400 where one of them is not as described
    here, else 422, as for an event type that the project does not have.
    """
    service = service_of(request)
    now = datetime.now(UTC)
    checked = [_check(event, at, service.config.interaction_types.keys(), now) for at, event in data.items()]
    accepted = [event for event in checked if isinstance(event, Interaction)]
    refusals = [event for event in checked if isinstance(event, Refusal)]
    if not accepted:
        raise nothing_stored(refusals, "event", [_refused(event) for event in refusals])
    acknowledged = await asyncio.wrap_future(service.event_log.submit(accepted))
    if service.engine is not None:
        # Now rather than at the next request, which would have to wait for it.
        service.engine.catch_up()
    stored = iter(acknowledged)
    return EventsAnswer([_refused(event) if isinstance(event, Refusal) else _stored(next(stored)) for event in checked])


def _check(event: Interaction | Refusal, at: str, event_types: Collection[str], now: datetime) -> Interaction | Refusal:
    """What an event's own type cannot check."""
    if isinstance(event, Refusal):
        return event
    if event.event_type not in event_types:
        return Refusal(
            f"{at}.event_type",
            f"not an interaction type of recsys.toml; expected one of {sorted(event_types)}",
            malformed=False,
        )
    if event.timestamp is not None and event.timestamp > now + MAX_AHEAD:
        return Refusal(
            f"{at}.timestamp",
            f"in the future; expected at most a day after {now.isoformat(timespec='seconds')}",
            malformed=False,
        )
    return event


def _stored(event: Acknowledged) -> EventResult:
    return EventResult("duplicate" if event.duplicate else "stored", event.event_id)


def _refused(refusal: Refusal) -> EventResult:
    return EventResult("refused", path=refusal.path, reason=refusal.reason)
