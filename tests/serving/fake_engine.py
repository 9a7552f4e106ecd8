"""An engine whose answers can be worked out by hand: it prefers the item whose id comes first in the alphabet."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np
import polars as pl

from recsys.config import Config, InteractionType, Serving, Source
from recsys.interest import Vectors
from serving.asked import Asked
from serving.item_types import ItemChange, ItemVersion
from serving.protocol import Freshness
from serving.rules import Rules, Surfaces
from serving.types import RankedItem, RankedList, Reason

CONFIG = Config(
    name="fake",
    source=Source(interactions="interactions.csv"),
    interaction_types={"click": InteractionType(label=True), "purchase": InteractionType(weight=3.0)},
    # As long as a busy machine may take.
    serving=Serving(max_candidates=5, deadline_ms=10_000),
)


class FakeEngine:
    """Knows items `a` to `f`, and user `u`, who has seen `a`."""

    bundle_id = "fake-1"
    channels = ("alphabet",)
    scores_together = False
    columns: ClassVar[dict[str, float]] = {}
    """Of each item, beside its id."""

    def __init__(self) -> None:
        self.catalogue = list("abcdef")
        self.changes: list[ItemChange] = []
        self.asked: list[Asked] = []
        self.caught_up = 0

    def rank(self, asked: Asked, candidates: Sequence[str]) -> RankedList:
        self.asked.append(asked)
        known = sorted(item for item in candidates if item in self.catalogue)
        unknown = [item for item in candidates if item not in self.catalogue]
        return RankedList(_items(known[: asked.limit], "candidates", asked.explain), unknown, [])

    async def with_interest(self, asked: Asked, candidates: Sequence[str]) -> Asked:
        return asked

    def recommend(self, asked: Asked, *, exclude: Sequence[str], exclude_seen: bool) -> RankedList:
        self.asked.append(asked)
        hidden = {*exclude, *("a" if exclude_seen and asked.user_id == "u" else "")}
        if asked.page is not None:
            hidden |= set(asked.page.shown)
        found = [item for item in self.catalogue if item not in hidden][asked.offset :]
        degraded = [] if asked.user_id == "u" else ["text_interest: deadline"]
        return RankedList(_items(found[: asked.limit], "alphabet", asked.explain), [], degraded)

    def explain(self, asked: Asked, items: Sequence[str]) -> RankedList:
        known = sorted(item for item in items if item in self.catalogue)
        places = [self.catalogue.index(item) + 1 for item in known]
        unknown = [item for item in items if item not in self.catalogue]
        return RankedList(_items(known, "alphabet", explain=True), unknown, [], places=places)

    def similar(self, asked: Asked, item_id: str, *, exclude: Sequence[str]) -> RankedList:
        return self._listed(asked, "text", {item_id, *exclude})

    def trending(self, asked: Asked, *, exclude: Sequence[str]) -> RankedList:
        return self._listed(asked, "trending", set(exclude))

    def _listed(self, asked: Asked, channel: str, hidden: set[str]) -> RankedList:
        self.asked.append(asked)
        if asked.page is not None:
            hidden |= set(asked.page.shown)
        found = [item for item in self.catalogue if item not in hidden][asked.offset :]
        return RankedList(_items(found[: asked.limit], channel, explain=False), [], [])

    def make_rules(self, surfaces: Surfaces) -> Rules:
        return Rules(pl.DataFrame({"item_id": self.catalogue, **self.columns}), surfaces)

    def use_rules(self, rules: Rules) -> None:
        self.rules = rules

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


def _items(ids: Iterable[str], channel: str, explain: bool) -> list[RankedItem]:
    """Explained by half of the score each."""
    return [
        RankedItem(
            item,
            1 / place,
            (channel,),
            f"Item {item}",
            reasons=[Reason("letter", "after Item a", 0.5 / place, "a"), Reason("base", "a letter", 0.5 / place)]
            * explain,
        )
        for place, item in enumerate(ids, start=1)
    ]
