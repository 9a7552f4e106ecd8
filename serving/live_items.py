"""The items that a server answers from: those of a bundle, and what was added, changed and taken out since.

An item keeps its position for as long as the process lives. Arrays have room to spare and are doubled when it runs
out, so that an item costs the same whatever the size of the catalogue.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from features.topics import Topics, topic_columns, users_of
from recsys.catalogue import Catalogue
from recsys.exposure import Exposure
from recsys.interest import Vectors
from recsys.schema import CATEGORY, ITEM_ID, TITLE
from recsys.state import Floats, ItemState, Mask, Neighbours, Positions
from recsys.text_neighbours import TextNeighbours

Array = NDArray[Any]

NO_CATEGORY: Final = -1
NO_COLUMNS: Final[Mapping[str, Any]] = {}

MIN_ROOM: Final = 1024
"""Items for which there is room at the first growth, and with any later one."""


class LiveItems:
    """A catalogue that changes. Not thread-safe."""

    def __init__(self, catalogue: Catalogue, state: ItemState, vectors: Vectors, topics: Topics) -> None:
        """vectors  float32 (n_items, d), unit length; written to when an item changes, as are the arrays of `topics`:
        map files with mode "c"."""
        self.catalogue: Final = replace(catalogue, item_ids=list(catalogue.item_ids), index=dict(catalogue.index))
        """item_ids and index follow every change; table is that of the bundle. Items taken out stay: histories name
        them."""
        self.changed: Final[dict[int, dict[str, Any]]] = {}
        """All columns of the items that were added or changed, as they were sent last, by position."""
        self._titles = [title or "" for title in catalogue.table[TITLE].to_list()]
        self._room = len(catalogue)
        self._vectors = vectors
        self._behaviour = state.behaviour
        self._near, self._weight = topics.neighbours.near, topics.neighbours.weight
        self._topic_columns = topics.columns
        # What is known of like items is that of the snapshot, whenever an item is added.
        self._users = users_of(state)
        self._gone = np.zeros(self._room, dtype=np.bool_)
        none = np.full(self._room, NO_CATEGORY, dtype=np.int64)
        self._categories = none if state.categories is None else state.categories.copy()
        self._attributes = None if state.attributes is None else state.attributes.copy()
        self._exposure = state.exposure
        self._row_ends = [matrix.indptr for matrix in state.neighbours]
        self._state = state

    def __len__(self) -> int:
        return len(self._titles)

    def __contains__(self, item_id: str) -> bool:
        position = self.catalogue.index.get(item_id)
        return position is not None and not self._gone[position]

    def positions(self, item_ids: Sequence[str]) -> Positions:
        """Where each is, int64 (n,); -1 for one that there is not, or that was taken out."""
        index = self.catalogue.index
        found: Positions = np.fromiter(map(index.get, item_ids, repeat(-1)), dtype=np.int64, count=len(item_ids))
        known = np.flatnonzero(found >= 0)
        found[known[self.gone[found[known]]]] = -1
        return found

    @property
    def vectors(self) -> Vectors:
        """float32 (n_items, d): a view, which later changes of an item show through."""
        return self._vectors[: len(self)]

    @property
    def gone(self) -> Mask:
        """The items that were taken out: bool (n_items,)."""
        return self._gone[: len(self)]

    @property
    def state(self) -> ItemState:
        """Nothing is known of the behaviour towards added items, and nobody chose them with others."""
        size, known = len(self), self._state
        if len(known) != size:
            pairs = zip(known.neighbours, self._row_ends, strict=True)
            neighbours = Neighbours(*(_with_rows(matrix, ends, size) for matrix, ends in pairs))
            self._state = replace(
                known,
                behaviour=self._behaviour[:size],
                neighbours=neighbours,
                categories=self._categories[:size],
                attributes=None if self._attributes is None else self._attributes[:size],
                exposure=None if self._exposure is None else self._exposure.first(size),
            )
        return self._state

    @property
    def topics(self) -> Topics:
        """What is known of like items: views, as `vectors`."""
        size = len(self)
        return Topics(TextNeighbours(self._near[:size], self._weight[:size]), self._topic_columns[:size])

    def put_behaviour(self, now: float, rows: Mapping[int, Floats]) -> None:
        """What is known of the behaviour towards these items, by position, at a moment in seconds since the epoch."""
        state = self.state
        for position, row in rows.items():
            self._behaviour[position] = row
        self._state = state.after(now, np.fromiter(rows, dtype=np.int64, count=len(rows)))

    def add_exposure(self, column: str, counts: Mapping[int, int]) -> None:
        """Count more in a column of the exposure, by position."""
        if self._exposure is not None:
            self._exposure.add(column, counts)

    def put_exposure(self, exposure: Exposure | None) -> None:
        """How often the items were shown, all of them anew."""
        if self._exposure is not None and exposure is not None:
            self._exposure.counts[: len(self)] = exposure.counts
            self._exposure.totals[:] = exposure.totals

    def title(self, position: int) -> str:
        return self._titles[position]

    def put(self, item_id: str, title: str, vector: Vectors, columns: Mapping[str, Any] = NO_COLUMNS) -> None:
        """Add an item, or change it in its place; `vector` float32 (d,), `columns` all that is said of it."""
        position = self.catalogue.index.get(item_id)
        if position is None:
            position = len(self)
            if position == self._room:
                self._grow()
            for ends in self._row_ends:
                ends[position + 1] = ends[position]
            self.catalogue.item_ids.append(item_id)
            self.catalogue.index[item_id] = position
            self._titles.append(title)
        self._titles[position] = title
        self.changed[position] = {**columns, ITEM_ID: item_id, TITLE: title}
        self._vectors[position] = vector
        self._gone[position] = False
        self._categories[position] = self.catalogue.category_index.get(columns.get(CATEGORY) or "", NO_CATEGORY)
        if self._attributes is not None and self.catalogue.numbers is not None:
            self._attributes[position] = self.catalogue.numbers.of_item(columns)
        row = np.array([position])
        found = TextNeighbours.of_rows(self.vectors, row, count=self._near.shape[1])
        self._near[position], self._weight[position] = found.near[0], found.weight[0]
        self._topic_columns[position] = topic_columns(self.topics.neighbours, self._users[: len(self)], row)[0]

    def remove(self, item_id: str) -> None:
        """Take an item out, if it is there."""
        position = self.catalogue.index.get(item_id)
        if position is not None:
            self._gone[position] = True

    def _grow(self) -> None:
        used, self._room = self._room, max(2 * self._room, self._room + MIN_ROOM)
        # The room is address space until it is written to. Behaviour is filled: an added item has none.
        self._vectors = _grown(self._vectors, used, self._room)
        self._behaviour = _grown(self._behaviour, used, self._room)
        self._behaviour[used:] = np.nan
        if self._exposure is not None:
            counts = _grown(self._exposure.counts, used, self._room)
            counts[used:] = 0.0
            self._exposure = replace(self._exposure, counts=counts)
        self._near = _grown(self._near, used, self._room)
        self._weight = _grown(self._weight, used, self._room)
        self._topic_columns = _grown(self._topic_columns, used, self._room)
        self._users = _grown(self._users, used, self._room)
        self._users[used:] = 0.0
        self._gone = _grown(self._gone, used, self._room)
        self._categories = _grown(self._categories, used, self._room)
        if self._attributes is not None:
            self._attributes = _grown(self._attributes, used, self._room)
        self._row_ends = [_grown(ends, used + 1, self._room + 1) for ends in self._row_ends]


def _with_rows(matrix: sp.csr_array, row_ends: Array, size: int) -> sp.csr_array:
    """The same entries in a matrix (size, size); `row_ends` has room for its rows."""
    found = sp.csr_array((size, size), dtype=matrix.dtype)
    found.data, found.indices, found.indptr = matrix.data, matrix.indices, row_ends[: size + 1]
    return found


def _grown(array: Array, used: int, room: int) -> Array:
    """A copy with room for more rows, which hold anything."""
    grown = np.empty((room, *array.shape[1:]), dtype=array.dtype)
    grown[:used] = array[:used]
    return grown
