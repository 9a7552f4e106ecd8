"""What the server answers, as the client reads it. Fields of a newer server that are not here are passed over."""

from typing import Literal

from msgspec import Struct


class Reason(Struct, frozen=True):
    """A part of why an item is in its place; the contributions of an item add up to its score."""

    reason: str
    text: str
    contribution: float
    item_id: str | None = None


class AnswerItem(Struct, frozen=True):
    """An item of an answer; rank 1 is the best."""

    item_id: str
    score: float
    rank: int
    channels: tuple[str, ...]
    title: str = ""
    rules: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


class Filtered(Struct, frozen=True):
    """A candidate that may not be shown, and what says so."""

    item_id: str
    why: str


class Experiment(Struct, frozen=True):
    """What the user takes part in; `variant` is None where the lists of two variants are interleaved."""

    name: str
    variant: str | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """Items in order.

    request_id  to be sent along with the events that follow from this answer
    bundle      the model bundle that ordered the items
    degraded    what the answer had to do without, and why; empty when it is whole
    """

    request_id: str
    bundle: str
    took_ms: float
    degraded: tuple[str, ...]
    items: tuple[AnswerItem, ...]
    experiment: Experiment | None = None

    @property
    def item_ids(self) -> list[str]:
        """Best first."""
        return [item.item_id for item in self.items]


class RankAnswer(Answer, frozen=True, kw_only=True):
    """Candidates in order, and those that are not among them."""

    unknown: tuple[str, ...] = ()
    filtered: tuple[Filtered, ...] = ()


class PagedAnswer(Answer, frozen=True, kw_only=True):
    """Items of the catalogue; `next_page` is None when nothing follows."""

    next_page: str | None = None


class RecommendAnswer(PagedAnswer, frozen=True, kw_only=True):
    """Those for a user."""


class EventResult(Struct, frozen=True):
    """Of one event. Stored: it is on the disk. Duplicate: it was already. Refused: it is not, and `reason` says why."""

    status: Literal["stored", "duplicate", "refused"]
    event_id: str | None = None
    path: str | None = None
    reason: str | None = None


class ItemResult(Struct, frozen=True):
    """Of one item."""

    status: Literal["stored", "deleted", "refused"]
    item_id: str | None = None
    path: str | None = None
    reason: str | None = None


class UserResult(Struct, frozen=True):
    """Of one user."""

    status: Literal["stored", "deleted", "refused"]
    user_id: str | None = None
    path: str | None = None
    reason: str | None = None


class ForgetResult(Struct, frozen=True):
    """Servers have nothing of the user any more, or will not within seconds.

    removed  place → how many rows are gone
    left     what `recsys forget --pending`, or else the next retraining, does the same to
    """

    status: Literal["forgotten"]
    removed: dict[str, int]
    left: tuple[str, ...]
