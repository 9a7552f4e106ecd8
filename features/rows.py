"""A row of the feature store as the arrays that the engine computes with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from features.featureset import FeatureSet
from recsys.catalogue import Catalogue
from recsys.state import Floats, UserState


def behaviour_row(values: Mapping[str, Any], columns: Sequence[str]) -> Floats:
    """The values of a row in the order of `columns`, null as NaN."""
    return np.array([values[name] for name in columns], dtype=np.float64)


def user_state(values: Mapping[str, Any], features: FeatureSet, catalogue: Catalogue) -> UserState:
    """The user of a row with both views of users; items that the catalogue does not have are left out."""
    items, *lists = ([] if values[name] is None else values[name] for name in features.history_columns)
    positions = np.array([catalogue.index.get(item, -1) for item in items], dtype=np.int64)
    known = positions >= 0
    occasions, first_at, last_at = (np.asarray(entries, dtype=np.float64)[known] for entries in lists[:3])
    types = np.asarray(lists[3], dtype=np.str_)[known]
    return UserState(
        behaviour_row(values, features.user_columns), positions[known], occasions, first_at, last_at, types
    )
