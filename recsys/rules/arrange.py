"""The places of a list, filled from the first to the last.

A pin has its place. Any other goes to one of the items that are left and whose category is not full: to the one worth
most beside those above it, or, where it is explored, to one that is drawn. So what is drawn never breaks a rule, and
the probability of each choice is known exactly. Places behind those that diversity and exploration look at go by
relevance.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from recsys.config import Diversity, Exploration
from recsys.interest import Vectors
from recsys.rules.diversity import Relevance, Worth, worth_of
from recsys.rules.exploration import Draw, best_of, deviations, draw
from recsys.rules.listing import FREE, Listing
from recsys.state import Floats, Positions

PINNED: Final = "pinned"
DIVERSITY: Final = "diversity"
EXPLORED: Final = "explored"


@dataclass(frozen=True)
class Candidates:
    """What a list is chosen from.

    relevance   float64 (n,)
    categories  int64 (n,), listing.NO_CATEGORY for none
    vectors     float32 (n, d), unit vectors of their texts; only diversity reads them
    shown       float64 (n,), how often each was shown of late; only exploration by thompson reads it
    """

    relevance: Floats
    categories: Positions
    vectors: Vectors
    shown: Floats

    def __len__(self) -> int:
        return len(self.relevance)

    def of(self, rows: Positions) -> "Candidates":
        """These rows, in this order."""
        return Candidates(self.relevance[rows], self.categories[rows], self.vectors[rows], self.shown[rows])


@dataclass(frozen=True)
class Arrangement:
    """A list.

    rows          int64 (m,), of the candidates, in the order shown
    propensities  float64 (m,), of each row to be at its place, given those above it; None when nothing is explored
    why           row → what put it there, if that was not relevance alone
    full          int64, rows without a place whose category has its maximum
    """

    rows: Positions
    propensities: Floats | None
    why: Mapping[int, str]
    full: Positions


def arrange(
    candidates: Candidates,
    *,
    limit: int,
    pins: Mapping[int, int],
    max_per_category: int | None,
    diversity: Diversity | None,
    exploration: Exploration | None,
    random: np.random.Generator | None,
) -> Arrangement:
    """At most `limit` of the candidates; of equal relevance the earlier row comes first.

    pins    row → its place, from 0; when that is taken the next free one, and behind the last one none
    random  draws where places are explored; None when there is no exploration
    """
    order = np.argsort(-candidates.relevance, kind="stable")
    listing = Listing(candidates.categories[order], limit, max_per_category)
    why: dict[int, str] = {}
    at_row = np.argsort(order)
    for row, pinned in sorted(pins.items(), key=lambda pin: pin[1]):
        place = listing.first_free(pinned)
        if place is not None:
            listing.put(int(at_row[row]), place)
            why[row] = PINNED
    propensities = np.ones(limit)
    if diversity is not None or exploration is not None:
        choices = _Choices(candidates.of(order), listing, diversity, exploration, random)
        for place in range(min(choices.places, limit)):
            chosen = choices.next(place)
            if chosen is not None:
                propensities[place] = chosen.propensity
                if chosen.why is not None:
                    why[int(order[chosen.row])] = chosen.why
    listing.fill()
    is_taken = listing.rows != FREE
    rows = order[listing.rows[is_taken]]
    known = None if exploration is None else propensities[is_taken]
    return Arrangement(rows, known, why, order[listing.kept_out()])


@dataclass(frozen=True)
class _Choice:
    row: int
    propensity: float = 1.0
    why: str | None = None


@dataclass
class _Choices:
    """Who takes each of the places that diversity and exploration look at."""

    candidates: Candidates
    listing: Listing
    diversity: Diversity | None
    exploration: Exploration | None
    random: np.random.Generator | None
    _deviation: Floats | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._by_relevance = Relevance(self.candidates.relevance)
        self._worth: Worth = self._by_relevance
        self._diverse_places, self._explored = 0, range(0)
        if self.diversity is not None:
            self._diverse_places = min(self.diversity.positions, len(self.listing.rows))
            self._worth = worth_of(
                self.diversity.method,
                self.candidates.relevance,
                self.candidates.vectors,
                weight=self.diversity.weight,
                places=self._diverse_places,
            )
        if self.exploration is not None:
            self._explored = range(self.exploration.first_position - 1, self.exploration.last_position)
            if self.exploration.method == "thompson":
                self._deviation = deviations(self.candidates.shown, self.exploration.uncertainty)

    @property
    def places(self) -> int:
        """How many places there are to choose for."""
        return max(self._diverse_places, self._explored.stop)

    def next(self, place: int) -> _Choice | None:
        """Fill this place, the ones before it being filled; None when it is pinned, or nothing is left for it."""
        if place == self._diverse_places:
            self._worth = self._by_relevance
        if self.listing.rows[place] != FREE:
            self._worth.take(int(self.listing.rows[place]))
            return None
        if not self.listing.left.any():
            return None
        drawn = self._draw() if place in self._explored else Draw(best_of(self._worth.values, self.listing.left))
        is_most_relevant = drawn.row == int(self.listing.left.argmax())
        why = EXPLORED if not drawn.is_best else None if is_most_relevant else DIVERSITY
        self.listing.put(drawn.row, place)
        self._worth.take(drawn.row)
        return _Choice(drawn.row, drawn.propensity, why)

    def _draw(self) -> Draw:
        settings = self.exploration
        assert settings is not None
        assert self.random is not None
        return draw(
            self._worth.values,
            self.listing.left,
            self.random,
            share=settings.share,
            pool=settings.pool,
            deviation=None if self._deviation is None else self._deviation * self._worth.share,
        )
