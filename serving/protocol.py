"""What the server asks of the engine."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from recsys.interest import Vectors
from serving.asked import Asked
from serving.item_types import ItemChange, ItemVersion
from serving.rules import Rules, Surfaces
from serving.types import RankedList


class Freshness(NamedTuple):
    """How new is what an engine knows, in seconds since the epoch.

    as_of       the moment of the features in the online store
    written_at  when they were put there
    latest      the latest event that is known; the moment of the features when there was none since
    events      the place in the event log up to which events are known
    """

    as_of: float
    written_at: float
    latest: float
    events: int


class Engine(Protocol):
    """Orders items for a user. An unknown user gets an answer as well. Need not be thread-safe."""

    @property
    def bundle_id(self) -> str: ...

    @property
    def channels(self) -> Sequence[str]:
        """The names of those that `recommend` may use."""
        ...

    @property
    def scores_together(self) -> bool:
        """Whether requests to rank that arrive together are to go through `with_interest` first."""
        ...

    async def with_interest(self, asked: Asked, candidates: Sequence[str]) -> Asked:
        """The request as `rank` takes it, with what can be computed together with that of others; in time, as below."""
        ...

    # Each of these follows the rules of the surface asked for, answers within the time that asked.course has, and says
    # there what it had to do without. Raises ExpressionError for a condition that does not fit the items.

    def rank(self, asked: Asked, candidates: Sequence[str]) -> RankedList:
        """The candidates, which are distinct, in the order of the user's interest in them as answers to the query."""
        ...

    def recommend(self, asked: Asked, *, exclude: Sequence[str], exclude_seen: bool) -> RankedList:
        """Items of the whole catalogue, without the excluded ones and, if asked so, those seen."""
        ...

    def explain(self, asked: Asked, items: Sequence[str]) -> RankedList:
        """The places of items, which are distinct, among all that could be recommended, with reasons."""
        ...

    def similar(self, asked: Asked, item_id: str, *, exclude: Sequence[str]) -> RankedList:
        """Items like one that `has_item` has, without that one and the excluded; no pins."""
        ...

    def trending(self, asked: Asked, *, exclude: Sequence[str]) -> RankedList:
        """What more users than before choose just now; no pins."""
        ...

    def make_rules(self, surfaces: Surfaces) -> Rules:
        """The rules of all surfaces. Slow, changes nothing, and may run in any thread. Raises ConfigError."""
        ...

    def use_rules(self, rules: Rules) -> None:
        """Follow these, made by the same engine, from the next request on. Quick; only where requests are answered."""
        ...

    def catch_up(self) -> list[str]:
        """See every event that was acknowledged until now; returns what the answers have to do without, if anything."""
        ...

    def freshness(self) -> Freshness:
        """How new is what answers are made of."""
        ...

    def new_items(self) -> list[ItemChange]:
        """The changes of items in the log that were not followed yet, encoded. Changes nothing; any thread."""
        ...

    def has_item(self, item_id: str) -> bool:
        """Whether the item can be ranked and recommended."""
        ...

    def encode_items(self, items: Sequence[ItemVersion]) -> Vectors:
        """The unit vector of each item's text, float32 (n, d). Slow, changes nothing, and may run in any thread."""
        ...

    def apply_items(self, changes: Sequence[ItemChange]) -> None:
        """Follow these from the next request on. Quick; only where requests are answered."""
        ...
