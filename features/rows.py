"""A row of the feature store as the arrays that the engine computes with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from features.definitions import HISTORY_FIELDS, ITEM_FIELDS, USER_FIELDS
from recsys.catalogue import Catalogue
from recsys.state import Floats, UserState

ITEM_COLUMNS = tuple(field.name for field in ITEM_FIELDS)
USER_COLUMNS = tuple(field.name for field in USER_FIELDS)
HISTORY_COLUMNS = tuple(field.name for field in HISTORY_FIELDS)


def behaviour_row(values: Mapping[str, Any], columns: Sequence[str]) -> Floats:
    """The values of a row in the order of `columns`, null as NaN."""
    return np.array([values[name] for name in columns], dtype=np.float64)


def user_state(values: Mapping[str, Any], catalogue: Catalogue) -> UserState:
    """The user of a row with USER_COLUMNS and HISTORY_COLUMNS; items that the catalogue does not have are left out."""
    items, *lists = ([] if values[name] is None else values[name] for name in HISTORY_COLUMNS)
    positions = np.array([catalogue.index.get(item, -1) for item in items], dtype=np.int64)
    known = positions >= 0
    occasions, first_at, last_at = (np.asarray(entries, dtype=np.float64)[known] for entries in lists[:3])
    types = np.asarray(lists[3], dtype=np.str_)[known]
    return UserState(behaviour_row(values, USER_COLUMNS), positions[known], occasions, first_at, last_at, types)


def unknown_user(catalogue: Catalogue) -> UserState:
    """The empty state: that of a user never seen."""
    return user_state(dict.fromkeys((*USER_COLUMNS, *HISTORY_COLUMNS)), catalogue)
