"""The places of a list while they are filled: who stands where, who is left, and how many of a category there are."""

from typing import Final

import numpy as np

from recsys.state import Positions

FREE: Final = -1
NO_CATEGORY: Final = -1


class Listing:
    """Places for rows, each row an item; the rows are in the order of their relevance."""

    def __init__(self, categories: Positions, limit: int, max_per_category: int | None) -> None:
        """categories  int64 (n,), NO_CATEGORY for an item that no maximum counts; limit: how many places there are."""
        self.rows: Final = np.full(limit, FREE)
        """Of each place its row."""
        self.left: Final = np.ones(len(categories), dtype=np.bool_)
        """Rows that may take a place."""
        self._categories = categories
        counted = [] if max_per_category is None else np.unique(categories[categories != NO_CATEGORY]).tolist()
        self._room: dict[int, int] = dict.fromkeys(counted, max_per_category or 0)

    def put(self, row: int, place: int) -> None:
        """The row has the place, even when its category was full."""
        self.rows[place] = row
        self.left[row] = False
        category = int(self._categories[row])
        if category in self._room:
            self._room[category] -= 1
            if self._room[category] <= 0:
                self.left[self._categories == category] = False

    def first_free(self, place: int) -> int | None:
        """The first free place from this one on."""
        free = np.flatnonzero(self.rows[place:] == FREE)
        return place + int(free[0]) if len(free) else None

    def fill(self) -> None:
        """Give the free places to those that are left, by relevance."""
        rows = np.flatnonzero(self.left)
        if self._room:
            categories = self._categories[rows]
            room = np.array([self._room.get(one, len(rows)) for one in categories.tolist()], dtype=np.int64)
            rows = rows[number_within(categories) < room]
        places = np.flatnonzero(self.rows == FREE)[: len(rows)]
        self.rows[places] = rows[: len(places)]


def number_within(groups: Positions) -> Positions:
    """How many of the same group stand before each: int64 (n,)."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    is_first = np.ones(len(groups), dtype=np.bool_)
    is_first[1:] = ordered[1:] != ordered[:-1]
    at = np.arange(len(groups))
    found = np.empty(len(groups), dtype=np.int64)
    found[order] = at - np.maximum.accumulate(np.where(is_first, at, 0))
    return found
