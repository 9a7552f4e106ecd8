"""An engine whose answers can be worked out by hand: it prefers the item whose id comes first in the alphabet."""

from collections.abc import Iterable, Sequence

import numpy as np

from recsys.config import Config, InteractionType, Serving, Source
from recsys.interest import Vectors
from serving.item_types import ItemChange, ItemVersion
from serving.protocol import Freshness
from serving.types import RankedItem, RankedList

CONFIG = Config(
    name="fake",
    source=Source(interactions="interactions.csv"),
    interaction_types={"click": InteractionType(label=True), "purchase": InteractionType(weight=3.0)},
    serving=Serving(max_candidates=5),
)


class FakeEngine:
    """Knows items `a` to `f`, and user `u`, who has seen `a`."""

    bundle_id = "fake-1"

    def __init__(self) -> None:
        self.catalogue = list("abcdef")
        self.changes: list[ItemChange] = []
        self.queries: list[str | None] = []
        self.caught_up = 0

    def rank(
        self, user_id: str, candidates: Sequence[str], *, limit: int | None, query: str | None = None
    ) -> RankedList:
        self.queries.append(query)
        known = sorted(item for item in candidates if item in self.catalogue)
        unknown = [item for item in candidates if item not in self.catalogue]
        return RankedList(_items(known[:limit], "candidates"), unknown, [])

    def recommend(
        self, user_id: str, *, limit: int, exclude: Sequence[str], exclude_seen: bool, query: str | None = None
    ) -> RankedList:
        self.queries.append(query)
        hidden = {*exclude, *("a" if exclude_seen and user_id == "u" else "")}
        found = [item for item in self.catalogue if item not in hidden]
        return RankedList(_items(found[:limit], "alphabet"), [], [] if user_id == "u" else ["interest"])

    def similar(self, item_id: str, *, limit: int) -> RankedList:
        return RankedList(_items([item for item in self.catalogue if item != item_id][:limit], "text"), [], [])

    def catch_up(self) -> list[str]:
        self.caught_up += 1
        return []

    def freshness(self) -> Freshness:
        return Freshness(as_of=1000.0, written_at=1060.0, latest=1100.0, events=7)

    def new_items(self) -> list[ItemChange]:
        return []

    def has_item(self, item_id: str) -> bool:
        return item_id in self.catalogue

    def encode_items(self, items: Sequence[ItemVersion]) -> Vectors:
        return np.array([[len(item.title)] for item in items], dtype=np.float32)

    def apply_items(self, changes: Sequence[ItemChange]) -> None:
        self.changes += changes
        for change in changes:
            self.catalogue = [item for item in self.catalogue if item != change.item.item_id]
            if change.vector is not None:
                self.catalogue = sorted([*self.catalogue, change.item.item_id])


def _items(ids: Iterable[str], channel: str) -> list[RankedItem]:
    return [RankedItem(item, 1 / place, (channel,), f"Item {item}") for place, item in enumerate(ids, start=1)]
