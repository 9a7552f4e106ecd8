"""What a client of Metarank sends and reads: https://docs.metarank.ai/reference/api, and its supported events.

Fields that it sends beside these are passed over, as Metarank does.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from serving.types import Id

Name = Annotated[str, Meta(min_length=1)]
FieldValue = bool | int | float | str | list[str | float | bool] | None
Time = Annotated[str | int | float, Meta(description="Milliseconds or seconds since 1970, or RFC 3339")]


class Field(Struct):
    """Something that is said of an event, an item or a user."""

    name: Name
    value: FieldValue


class RankedCandidate(Struct):
    """An item of a ranking. Its fields are not read: our features come out of the event log."""

    id: Id


class Ranking(Struct, kw_only=True):
    """The items to order, or in an event those that were shown."""

    id: Id
    items: Annotated[list[RankedCandidate], Meta(min_length=1)]
    timestamp: Time | None = None
    user: Id | None = None
    session: Id | None = None
    fields: Annotated[list[Field], Meta(description="`query` is what the user typed; the others are not read")] = []


class RankingEvent(Ranking, kw_only=True, tag_field="event", tag="ranking"):
    """What was shown, in order."""


class InteractionEvent(Struct, kw_only=True, tag_field="event", tag="interaction"):
    """What a user did."""

    id: Id
    type: Annotated[Id, Meta(description="One of the interaction types of recsys.toml")]
    item: Id
    timestamp: Time | None = None
    user: Id | None = None
    session: Id | None = None
    ranking: Annotated[Id, Meta(description="The id of the ranking that showed the item")] | None = None
    fields: Annotated[list[Field], Meta(description="`value` and `query` are kept")] = []


class ItemEvent(Struct, kw_only=True, tag_field="event", tag="item"):
    """What an item is from now on: all of it, and `title` among the fields."""

    item: Id
    fields: list[Field]
    id: str | None = None
    timestamp: Time | None = None


class UserEvent(Struct, kw_only=True, tag_field="event", tag="user"):
    """What is known of a user from now on: all of it."""

    user: Id
    fields: list[Field]
    id: str | None = None
    timestamp: Time | None = None


Event = RankingEvent | InteractionEvent | ItemEvent | UserEvent


class RankedScore(Struct, omit_defaults=True):
    """An item in its place."""

    item: str
    score: float
    features: list[dict[str, Any]] = []
    """With ?explain=true the reasons for the place: what each adds to the score."""


class RankResponse(Struct):
    """Best first."""

    took: Annotated[int, Meta(description="Milliseconds")]
    items: list[RankedScore]


class RefusedEvent(Struct):
    """Why an event was not stored, and which field of the body says so."""

    path: str
    reason: str


class FeedbackResponse(Struct, omit_defaults=True):
    """What became of the events."""

    accepted: int
    status: Literal["ok", "partial"]
    tookMillis: int
    updated: int
    refused: list[RefusedEvent] = []
    """Which were not accepted, and why. Metarank has no such field."""
