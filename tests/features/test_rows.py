import numpy as np
import polars as pl

from features.rows import behaviour_row, user_state
from recsys.catalogue import Catalogue
from tests.features.log import FEATURES, catalogue_of

BEHAVIOUR = {name: float(at) for at, name in enumerate(FEATURES.user_columns)}


def test_the_values_of_a_row_stand_in_the_order_of_the_columns_and_null_is_nan():
    row = behaviour_row({"b": None, "c": 3, "a": 0.5}, ["a", "b", "c"])
    assert row.dtype == np.float64
    np.testing.assert_array_equal(row, [0.5, np.nan, 3])


def test_items_of_a_history_are_positions_in_the_catalogue_and_unknown_ones_are_left_out():
    history = dict(
        zip(
            FEATURES.list_columns,
            (
                ["c", "gone", "a"],
                [3.0, 2.0, 1.0],
                [30.0, 20.0, 10.0],
                [33.0, 22.0, 11.0],
                ["buy", "see", "view"],
                [7.5, 2.0, 0.0],
                ["a", "gone", "c"],
                ["view", "see", "buy"],
                [5.0, 4.0, 3.0],
                ["drink", "gone", "dish"],
                [1.0, 2.0, 4.0],
            ),
            strict=True,
        )
    )
    items = pl.DataFrame({"item_id": list("abc"), "title": list("abc"), "category": ["drink", "dish", "drink"]})
    user = user_state(BEHAVIOUR | history, FEATURES, Catalogue.load(items))
    assert user.behaviour.tolist() == list(BEHAVIOUR.values())
    assert (user.history.tolist(), user.history.dtype) == ([2, 0], np.int64)
    assert user.occasions.tolist() == [3, 1]
    assert user.first_at.tolist() == [30, 10]
    assert user.last_at.tolist() == [33, 11]
    assert user.types.tolist() == ["buy", "view"]
    assert user.spent.tolist() == [7.5, 0]
    # Of what was done last all counts, whatever it was done with.
    assert (user.recent.items.tolist(), user.recent.items.dtype) == ([0, -1, 2], np.int64)
    assert user.recent.types.tolist() == ["view", "see", "buy"]
    assert user.recent.at.tolist() == [5, 4, 3]
    # Categories count by name.
    assert (user.affinity.categories.tolist(), user.affinity.weights.tolist()) == ([1, -1, 0], [1, 2, 4])


def test_a_row_of_nulls_is_a_user_never_seen():
    user = user_state(dict.fromkeys(FEATURES.row_columns), FEATURES, catalogue_of("abc"))
    assert np.isnan(user.behaviour).all()
    assert len(user.behaviour) == len(FEATURES.user_columns)
    for part, dtype in ((user.history, np.int64), *((part, np.float64) for part in (user.occasions, user.last_at))):
        assert (part.shape, part.dtype) == ((0,), dtype)
    assert (user.types.shape, user.types.dtype.kind) == ((0,), "U")
    recent, affinity = user.recent, user.affinity
    parts = (recent.items, recent.types, recent.at, affinity.categories, affinity.weights)
    assert [len(part) for part in parts] == [0] * 5
