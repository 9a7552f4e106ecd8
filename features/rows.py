"""A row of the feature store as the arrays that the engine computes with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from features.featureset import FeatureSet
from recsys.catalogue import Catalogue
from recsys.state import Affinity, Floats, Positions, Recent, UserState


def behaviour_row(values: Mapping[str, Any], columns: Sequence[str]) -> Floats:
    """The values of a row in the order of `columns`, null as NaN."""
    return np.array([values[name] for name in columns], dtype=np.float64)


def user_state(values: Mapping[str, Any], features: FeatureSet, catalogue: Catalogue) -> UserState:
    """The user of a row with all views of users; items that the catalogue does not have are left out."""
    lists = {name: [] if values[name] is None else values[name] for name in features.list_columns}
    positions = _positions(lists["history_items"], catalogue)
    known = positions >= 0
    numbers = ("history_occasions", "history_first_at", "history_last_at", "history_values")
    occasions, first_at, last_at, spent = (np.asarray(lists[name], dtype=np.float64)[known] for name in numbers)
    types = np.asarray(lists["history_types"], dtype=np.str_)[known]
    recent = Recent(
        _positions(lists["recent_items"], catalogue),
        np.asarray(lists["recent_types"], dtype=np.str_),
        np.asarray(lists["recent_at"], dtype=np.float64),
    )
    categories = [catalogue.category_index.get(name, -1) for name in lists["affinity_categories"]]
    affinity = Affinity(np.array(categories, dtype=np.int64), np.asarray(lists["affinity_weights"], dtype=np.float64))
    behaviour = behaviour_row(values, features.user_columns)
    kept = [values[name] for name in features.attribute_columns]
    attributes = None if catalogue.of_users is None else catalogue.of_users.of_stored(kept)
    return UserState(
        behaviour, positions[known], occasions, first_at, last_at, types, spent, recent, affinity, attributes
    )


def unknown_user(features: FeatureSet, catalogue: Catalogue) -> UserState:
    """The empty state: that of a user never seen."""
    return user_state(dict.fromkeys(features.row_columns), features, catalogue)


def _positions(items: Sequence[str], catalogue: Catalogue) -> Positions:
    """-1 for one that the catalogue does not have."""
    return np.array([catalogue.index.get(item, -1) for item in items], dtype=np.int64)
