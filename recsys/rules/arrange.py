"""The places of a list, filled from the first to the last, and then explored.

A pin has its place. Any other goes to the one that is worth most beside those above it, of the items that are left and
whose category is not full. Places behind those that diversity looks at go by relevance. Exploration then lets the items
of the first places change places, but for pins: as all of them stand in one list that meets the maximum of every
category, whatever part of them is shown meets it too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from recsys.config import Diversity, Exploration
from recsys.interest import Vectors
from recsys.rules.diversity import worth_of
from recsys.rules.exploration import deviations, draw
from recsys.rules.listing import FREE, NO_CATEGORY, Listing
from recsys.state import Floats, Mask, Positions

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
    propensities  float64 (m,), of each row to be at its place, whatever the others do; None when nothing is explored
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
    ordered = candidates.of(order)
    places = limit if exploration is None else max(limit, exploration.positions)
    listing = Listing(ordered.categories, places, max_per_category)
    why: dict[int, str] = {}
    at_row = np.argsort(order)
    for row, pinned in sorted(pins.items(), key=lambda pin: pin[1]):
        place = listing.first_free(pinned)
        if place is not None and place < limit:
            listing.put(int(at_row[row]), place)
            why[int(at_row[row])] = PINNED
    if diversity is not None:
        why |= dict.fromkeys(_diversify(ordered, listing, diversity), DIVERSITY)
    listing.fill()
    propensities = None
    if exploration is not None:
        assert random is not None
        is_pinned = np.isin(listing.rows, [row for row, reason in why.items() if reason == PINNED])
        moved, propensities = _explore(ordered, listing, is_pinned, limit, exploration, random)
        why |= dict.fromkeys(moved, EXPLORED)
    rows = listing.rows[:limit]
    is_taken = rows != FREE
    return Arrangement(
        order[rows[is_taken]],
        None if propensities is None else propensities[is_taken],
        {int(order[row]): why[row] for row in rows.tolist() if row in why},
        order[_kept_out(ordered.categories, rows[is_taken], max_per_category)],
    )


def _diversify(candidates: Candidates, listing: Listing, diversity: Diversity) -> list[int]:
    """Fill the first places; returns the rows that took one from a row of more relevance."""
    places = min(diversity.positions, len(listing.rows))
    worth = worth_of(diversity.method, candidates.relevance, candidates.vectors, weight=diversity.weight, places=places)
    found: list[int] = []
    for place in range(places):
        row = int(listing.rows[place])
        if row == FREE:
            if not listing.left.any():
                break
            row = int(np.where(listing.left, worth.values, -np.inf).argmax())
            if row != int(listing.left.argmax()):
                found.append(row)
            listing.put(row, place)
        worth.take(row)
    return found


def _explore(
    candidates: Candidates,
    listing: Listing,
    is_pinned: Mask,
    limit: int,
    exploration: Exploration,
    random: np.random.Generator,
) -> tuple[list[int], Floats]:
    """Let the rows of the first places change places; returns those that did, and of the first `limit` places the
    propensities, float64 (limit,)."""
    propensities = np.ones(limit)
    explored = np.flatnonzero((listing.rows != FREE) & ~is_pinned)
    explored = explored[explored < exploration.positions]
    shown = explored[explored < limit]
    if len(shown) == 0:
        return [], propensities
    usual = listing.rows[explored]
    is_thompson = exploration.method == "thompson"
    drawn = draw(
        candidates.relevance[usual],
        random,
        share=exploration.share,
        shown=len(shown),
        deviation=deviations(candidates.shown[usual], exploration.uncertainty) if is_thompson else None,
    )
    now = usual[drawn.order]
    listing.rows[explored] = now
    propensities[shown] = drawn.propensities
    return now[now != usual].tolist(), propensities


def _kept_out(categories: Positions, rows: Positions, max_per_category: int | None) -> Positions:
    """The rows that are not among these and whose category has its maximum among these."""
    if max_per_category is None:
        return np.empty(0, dtype=np.int64)
    values, counts = np.unique(categories[rows], return_counts=True)
    is_full = np.isin(categories, values[(counts >= max_per_category) & (values != NO_CATEGORY)])
    is_full[rows] = False
    return np.flatnonzero(is_full)
