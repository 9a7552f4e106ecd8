"""What the assembler and the retrieval channels know of items and of one user at a moment: rows of Feast as arrays.

Items are positions in the catalogue. The same classes are filled from the offline store for training and from the online
store for serving.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from features.definitions import HISTORY_FIELDS, ITEM_FIELDS, USER_FIELDS
from recsys.catalogue import Catalogue

ITEM_COLUMNS = tuple(field.name for field in ITEM_FIELDS)
USER_COLUMNS = tuple(field.name for field in USER_FIELDS)
HISTORY_COLUMNS = tuple(field.name for field in HISTORY_FIELDS)


@dataclass(frozen=True)
class ItemState:
    """All items of the catalogue at a moment.

    now         seconds since the epoch
    behaviour   float64 (n_items, len(ITEM_COLUMNS)), NaN where nothing is known
    neighbours  float32 (n_items, n_items) sparse, features.cooccurrence
    """

    now: float
    behaviour: np.ndarray
    neighbours: sp.csr_array

    def column(self, name: str) -> np.ndarray:
        """One behaviour feature of every item: float64 (n_items,)."""
        return self.behaviour[:, ITEM_COLUMNS.index(name)]


@dataclass(frozen=True)
class UserState:
    """One user at a moment; of one never seen every value is NaN and the history is empty.

    behaviour  float64 (len(USER_COLUMNS),)
    history    int64 (h,) positions of the distinct items, the latest first; beside it occasions, first_at, last_at
    """

    behaviour: np.ndarray
    history: np.ndarray
    occasions: np.ndarray
    first_at: np.ndarray
    last_at: np.ndarray

    @property
    def is_known(self) -> bool:
        return len(self.history) > 0

    @property
    def in_last_occasion(self) -> np.ndarray:
        """Which items of the history were chosen on the user's latest occasion: bool (h,)."""
        return self.last_at >= self.last_at.max(initial=-np.inf)

    def without(self, items: np.ndarray) -> "UserState":
        """The same user whose history never held the items marked in bool (n_items,)."""
        keep = ~items[self.history]
        return UserState(self.behaviour, self.history[keep], self.occasions[keep], self.first_at[keep], self.last_at[keep])


def behaviour_row(values: Mapping[str, Any], columns: Sequence[str]) -> np.ndarray:
    """A row of a store in the order of `columns`, null as NaN."""
    return np.array([np.nan if values[name] is None else values[name] for name in columns], dtype=np.float64)


def user_state(values: Mapping[str, Any], catalogue: Catalogue) -> UserState:
    """The user of a row with USER_COLUMNS and HISTORY_COLUMNS; items that the catalogue does not have are left out."""
    items, *lists = ([] if values[name] is None else values[name] for name in HISTORY_COLUMNS)
    positions = np.array([catalogue.index.get(item, -1) for item in items], dtype=np.int64)
    known = positions >= 0
    occasions, first_at, last_at = (np.asarray(values, dtype=np.float64)[known] for values in lists)
    return UserState(behaviour_row(values, USER_COLUMNS), positions[known], occasions, first_at, last_at)
