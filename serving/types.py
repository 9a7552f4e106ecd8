"""What goes over the wire.

Field constraints are checked when a body is decoded (serving.body); limits that come from recsys.toml are checked in
the routes. Ids are opaque strings.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from features.explain import Explained

Id = Annotated[str, Meta(min_length=1, max_length=256)]
Explain = Annotated[bool, Meta(description="Say why each of the first 50 items is in its place")]
SurfaceName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        description="Where the answer is shown: a surface of recsys.toml, whose rules it follows; `default` if absent",
    ),
]
QueryText = Annotated[str, Meta(max_length=2000, description="What the user typed, at most 2,000 characters")]


class Reason(Struct, frozen=True, omit_defaults=True):
    """A part of why an item is in its place."""

    reason: Annotated[str, Meta(description="For programs: similar, popular, price, …")]
    text: Annotated[str, Meta(description="For people, in words to the user")]
    contribution: Annotated[float, Meta(description="What it adds to the score; those of an item add up to its score")]
    item_id: Annotated[str, Meta(description="The item of the history that the text names")] | None = None

    @classmethod
    def of(cls, found: Explained, item_ids: Sequence[str]) -> "Reason":
        """`item_ids` by position."""
        return cls(found.reason, found.text, found.contribution, None if found.item is None else item_ids[found.item])


class RankedItem(Struct, frozen=True, omit_defaults=True, gc=False):
    """An item in its place; nothing that it holds leads back to it, so that Python's collector need not look at it."""

    item_id: str
    score: float
    channels: tuple[str, ...]
    """What proposed the item: retrieval channels, or the candidates of the request."""
    title: str = ""
    rules: tuple[str, ...] = ()
    """The rules of the surface that changed its place."""
    reasons: list[Reason] = []
    """Why it is in its place, when that was asked for."""


class Filtered(Struct, frozen=True):
    """A candidate that the rules of the surface, or the filter of the request, do not let be shown."""

    item_id: str
    why: Annotated[
        str,
        Meta(
            description="The key of the surface: filter, exclude, exclude_bought or max_per_category; or request_filter"
        ),
    ]


class ServedFeatures(Struct, frozen=True):
    """The features that an answer was made from, and all that they depended on.

    as_of, written_at           of the snapshot in the online store
    events, impressions, items  places in the event log up to which each were followed
    candidates                  the items of the rows
    matrix                      float32 (n_candidates, n_features), in the order of the bundle's features
    """

    as_of: datetime
    written_at: datetime
    events: int
    impressions: int
    items: int
    candidates: list[str]
    matrix: NDArray[np.float32]


class RankedList(Struct, frozen=True):
    """The engine's answer, best item first."""

    items: list[RankedItem]
    unknown: list[str]
    """Candidates that the catalogue does not have; they are not among the items."""
    degraded: list[str]
    """STAGE: REASON of what this answer had to do without."""
    features: ServedFeatures | None = None
    """To be logged, when this answer is among those whose features are."""
    filtered: list[Filtered] = []
    """Candidates of the request that the rules of the surface took out; they are not among the items."""
    propensities: list[float] | None = None
    """Of each item to be at its place, whatever the others do; None when no place was given by chance."""
    places: list[int] = []
    """Of each item, from 1, where they do not follow each other."""


MAX_DEADLINE_MS = 10_000
MAX_EXPLAINED = 50
MAX_ENTRIES = 1000
"""Events, items or users of one request: they share one transaction, which others wait for."""

Deadline = Annotated[
    float,
    Meta(
        gt=0,
        le=MAX_DEADLINE_MS,
        description="Milliseconds that the answer may take; what is not ready by then is left out, and named in "
        "`degraded`. If absent serving.deadline_ms, or a second where reasons are asked for",
    ),
]
Filter = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2000,
        description="A condition over the columns of the items, which each item of the answer meets: docs/rules.md",
    ),
]
Limit = Annotated[int, Meta(ge=1, description="At most serving.max_candidates; 10 if absent")]
Offset = Annotated[
    int,
    Meta(ge=0, description="Items to leave out in front; with the limit at most serving.max_candidates"),
]


class Order(Struct, kw_only=True, forbid_unknown_fields=True):
    """What requests for items have in common."""

    surface: SurfaceName | None = None
    filter: Filter | None = None
    deadline_ms: Deadline | None = None


class PagedOrder(Order, kw_only=True):
    """What requests for items of the whole catalogue have in common."""

    limit: Limit | None = None
    offset: Offset = 0
    page: (
        Annotated[str, Meta(description="The next_page of an answer: go on from there; no item of it comes again")]
        | None
    ) = None
    exclude: Annotated[list[Id], Meta(description="Items that the answer must not hold")] = []


class RankRequest(Order, kw_only=True):
    """Order my candidates for a user; a candidate that is named twice is ranked once."""

    user_id: Id
    candidates: Annotated[
        list[Id], Meta(min_length=1, description="Items to order, at most serving.max_candidates, in any order")
    ]
    limit: Annotated[int, Meta(ge=1, description="At most serving.max_candidates; all if absent")] | None = None
    query: QueryText | None = None
    explain: Explain = False


class RecommendRequest(PagedOrder, kw_only=True):
    """Find items of the whole catalogue for a user."""

    user_id: Id
    exclude_seen: Annotated[bool, Meta(description="Leave out what the user has interacted with")] = False
    channels: (
        Annotated[list[str], Meta(min_length=1, description="Only what these channels bring; all if absent")] | None
    ) = None
    query: QueryText | None = None
    explain: Explain = False


class ExplainRequest(Order, kw_only=True):
    """Say why items are where they are for a user."""

    user_id: Id
    items: Annotated[list[Id], Meta(min_length=1, max_length=MAX_EXPLAINED, description="Whose places are explained")]
    query: QueryText | None = None


class ListRequest(PagedOrder, kw_only=True):
    """What requests for lists that are the same for everybody have in common."""

    user_id: Annotated[Id, Meta(description="Whom the answer is shown to; it is then logged")] | None = None


class TrendingRequest(ListRequest, kw_only=True):
    """Find items that more users than before choose just now."""


class SimilarRequest(ListRequest, kw_only=True):
    """Find items like a given one."""

    item_id: Id


class AnswerItem(Struct, omit_defaults=True, gc=False):
    """An item of an answer; no garbage, as RankedItem."""

    item_id: str
    score: float
    rank: Annotated[int, Meta(description="1 is the best")]
    channels: Annotated[tuple[str, ...], Meta(description="What proposed the item")]
    title: str = ""
    rules: Annotated[
        tuple[str, ...],
        Meta(description="Rules of the surface that changed its place; then the order is not that of the scores"),
    ] = ()
    reasons: Annotated[
        list[Reason], Meta(description="Why it is in its place, if asked for; see docs/explanations.md")
    ] = []


class ShownExperiment(Struct, frozen=True):
    """What an answer is a part of."""

    name: str
    variant: Annotated[str | None, Meta(description="Whose list it is; null where it mixes those of two variants")]


class ListAnswer(Struct, kw_only=True):
    """Items in order, and where the order comes from."""

    request_id: Annotated[str, Meta(description="Send it along with the events that follow from this answer")]
    bundle: Annotated[str, Meta(description="The model bundle that ordered the items")]
    took_ms: float
    degraded: Annotated[
        list[str],
        Meta(
            description="What this answer had to do without, and why, as `text_interest: deadline`; docs/deadlines.md"
        ),
    ]
    experiment: Annotated[
        ShownExperiment | None, Meta(description="The experiment that the answer is a part of; docs/experiments.md")
    ] = None
    items: list[AnswerItem]


class PagedAnswer(ListAnswer, kw_only=True):
    """Items of the whole catalogue."""

    next_page: Annotated[
        str | None, Meta(description="Send it as `page` for the items that follow; null when there are none")
    ]


class RecommendAnswer(PagedAnswer, kw_only=True):
    """Items for a user."""


class RankAnswer(ListAnswer, kw_only=True):
    """The candidates in order, and where the order comes from."""

    unknown: Annotated[list[str], Meta(description="Candidates that the catalogue does not have")]
    filtered: Annotated[list[Filtered], Meta(description="Candidates that rules or the filter took out")]


class Interaction(Struct, kw_only=True, forbid_unknown_fields=True):
    """A user did something with an item."""

    user_id: Id
    item_id: Id
    event_type: Annotated[Id, Meta(description="One of the interaction types of recsys.toml")]
    timestamp: Annotated[datetime, Meta(tz=True, description="RFC 3339 with a zone; now if absent")] | None = None
    event_id: Annotated[Id, Meta(description="The same id is stored once; a new one if absent")] | None = None
    request_id: Annotated[Id, Meta(description="The answer that showed the item")] | None = None
    value: Annotated[float, Meta(description="Price paid, rating, seconds read, …")] | None = None
    query: QueryText | None = None


class InteractionBatch(Struct, forbid_unknown_fields=True):
    """Events that are stored together."""

    events: Annotated[list[Interaction], Meta(min_length=1, max_length=MAX_ENTRIES)]


class Refusal(Struct):
    """Why an entry of a request was not stored, and which field of the body says so."""

    path: str
    reason: str
    malformed: bool = True
    """Whether it is not as the description of the API says; else it asks for what this project cannot do."""


class EventResult(Struct, omit_defaults=True):
    """What became of one event. Stored: it is on the disk. Duplicate: it was already. Refused: it is not."""

    status: Literal["stored", "duplicate", "refused"]
    event_id: str | None = None
    path: str | None = None
    reason: str | None = None


class EventsAnswer(Struct):
    """One result for each event, in the order in which they were sent."""

    results: list[EventResult]


class Impression(Struct, kw_only=True):
    """What an answer showed."""

    request_id: str
    user_id: str
    timestamp: datetime
    items: list[str]
    """In the order shown."""
    surface: str
    bundle: str
    query: str | None = None
    propensities: list[float] | None = None
    """Of each item to be at its place, whatever the others do; None when no place was given by chance."""
    experiment: ShownExperiment | None = None
    teams: list[str] | None = None
    """For each item the variant that put it there, where the list mixes those of two."""


class ShadowList(Struct, kw_only=True):
    """What a shadow would have shown in the place of an impression. Nobody saw it."""

    request_id: str
    """Of the impression."""
    experiment: str
    variant: str
    bundle: str
    timestamp: datetime | None = None
    """When it was ready."""
    items: list[str] = []
    """In its order."""
    took_ms: float = 0.0
