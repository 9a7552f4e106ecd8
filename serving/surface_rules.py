"""The rules of one surface over the items of an engine: what may be shown to a user, and in which places.

    filter, exclude, exclude_bought → scores → boosts → pins → place by place: max_per_category, diversity
    → exploration

What may not be shown is taken out before anything is retrieved or scored.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl

from recsys.config import Boost, Surface
from recsys.errors import ConfigError
from recsys.interest import Vectors
from recsys.rules.arrange import Arrangement, Candidates, arrange
from recsys.rules.columns import Types
from recsys.rules.expression import ExpressionError, condition
from recsys.rules.relevance import boost, relevance_of
from recsys.schema import ITEM_ID
from recsys.state import Floats, Mask, Positions, UserState
from serving.bought import bought
from serving.item_conditions import ItemConditions

FILTER: Final = "filter"
EXCLUDE: Final = "exclude"
EXCLUDE_BOUGHT: Final = "exclude_bought"
MAX_PER_CATEGORY: Final = "max_per_category"
"""Why an item is not shown: the key that took it out."""


NO_ROWS: Final[Positions] = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Shown:
    """An answer: rows of the candidates in their places, and what the rules had to do with it."""

    arrangement: Arrangement
    boosts: Mapping[int, list[str]] = field(default_factory=dict)

    @classmethod
    def by_score(cls, rows: Positions) -> "Shown":
        """Rows in an order that no rule had to do with."""
        return cls(Arrangement(rows, None, {}, NO_ROWS))

    @property
    def rows(self) -> list[int]:
        """Of the candidates, in the order shown."""
        rows: list[int] = self.arrangement.rows.tolist()
        return rows

    @property
    def propensities(self) -> list[float] | None:
        """Of each of them to be at its place, whatever the others do; None when no place was given by chance."""
        return None if self.arrangement.propensities is None else self.arrangement.propensities.tolist()

    @property
    def is_by_score(self) -> bool:
        """Whether no rule changed any item."""
        return not self.boosts and not self.arrangement.why

    def rules_of(self, row: int) -> tuple[str, ...]:
        """The rules that changed an item, in their order."""
        placed = self.arrangement.why.get(row)
        return (*self.boosts.get(row, ()), *(() if placed is None else (placed,)))


class SurfaceRules:
    """Follows the items; not thread-safe."""

    def __init__(self, name: str, surface: Surface, items: pl.DataFrame, types: Types) -> None:
        """items, types: the items table of a bundle and its recsys.rules.columns.types_of.

        Raises ConfigError when a condition does not fit the columns.
        """
        self._surface = surface
        self._keys: dict[str, int] = {}
        conditions: list[pl.Expr] = []
        texts = {FILTER: surface.filter} if surface.filter is not None else {}
        texts |= {f"boosts[{at}].where": one.where for at, one in enumerate(surface.boosts)}
        for key, text in texts.items():
            self._keys[key] = len(conditions)
            try:
                conditions.append(condition(text, types))
            except ExpressionError as error:
                raise ConfigError(f"[surfaces.{name}] {key}: {error}") from None
        if surface.exclude:
            self._keys[EXCLUDE] = len(conditions)
            conditions.append(pl.col(ITEM_ID).is_in(surface.exclude))
        self._items = ItemConditions(items, types, conditions)

    def follow(self, changed: Mapping[int, Mapping[str, Any]]) -> None:
        """Items that were added or changed: position → all columns as they were sent, item_id among them."""
        self._items.follow(changed)

    def hidden(self, user: UserState, now: float) -> dict[str, Mask]:
        """Why → the items that may not be shown, bool (n_items,); `now` in seconds since the epoch."""
        found: dict[str, Mask] = {}
        if FILTER in self._keys:
            found[FILTER] = ~self._items.met(self._keys[FILTER])
        if EXCLUDE in self._keys:
            found[EXCLUDE] = self._items.met(self._keys[EXCLUDE])
        if self._surface.exclude_bought is not None:
            found[EXCLUDE_BOUGHT] = np.zeros(len(self._items.categories), dtype=np.bool_)
            found[EXCLUDE_BOUGHT][bought(user, self._surface.exclude_bought, now)] = True
        return found

    def pins(self, index: Mapping[str, int], *, at: float) -> dict[int, int]:
        """Position of an item → its place, from 0, of the pins at a moment in seconds since the epoch."""
        pins = [pin for pin in self._surface.pins if pin.span[0] <= at < pin.span[1] and pin.item in index]
        return {index[pin.item]: pin.position - 1 for pin in pins}

    @property
    def reads_vectors(self) -> bool:
        """Whether `arrange` needs the vectors of the candidates."""
        return self._surface.diversity is not None

    def arrange(
        self,
        positions: Positions,
        scores: Floats,
        *,
        vectors: Vectors,
        shown: Floats,
        pins: Mapping[int, int],
        limit: int,
        request_id: str,
    ) -> Shown:
        """The places of candidates, all of which may be shown.

        scores, shown  float64 (n,), how good each is, and how often it was shown in the last four weeks
        vectors        float32 (n, d), of their texts; without columns unless reads_vectors
        pins           as `pins` has them; of other items than the candidates they mean nothing
        request_id     the same one draws the same
        """
        surface = self._surface
        rows = {int(position): row for row, position in enumerate(positions)} if pins else {}
        pinned = {rows[position]: place for position, place in pins.items() if position in rows}
        # What has its place in any case does not say how good the others are.
        among = np.ones(len(positions), dtype=np.bool_)
        among[list(pinned)] = False
        relevance = relevance_of(scores, among)
        boosts: dict[int, list[str]] = {}
        for at, one in enumerate(surface.boosts):
            where = self._items.met(self._keys[f"boosts[{at}].where"])[positions]
            boost(relevance, where, factor=one.factor, add=one.add)
            for row in np.flatnonzero(where).tolist():
                boosts.setdefault(row, []).append(_label(one))
        arrangement = arrange(
            Candidates(relevance, self._items.categories[positions], vectors, shown),
            limit=limit,
            pins=pinned,
            max_per_category=surface.max_per_category,
            diversity=surface.diversity,
            exploration=surface.exploration,
            random=None if surface.exploration is None else _random_of(request_id),
        )
        return Shown(arrangement, boosts)


def _label(one: Boost) -> str:
    factor = f" {one.factor:g}" if one.factor != 1 else ""
    return f"boost{factor}{f' {one.add:+g}' if one.add else ''}"


def _random_of(request_id: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(request_id.encode(), digest_size=16).digest()))
