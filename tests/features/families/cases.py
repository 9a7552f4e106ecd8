"""One user and four items, of which most is known of the first; what is known is spelled by name."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from features.featureset import FeatureSet
from recsys.state import ItemState, Neighbours, UserState
from tests.features.assembled import assemble
from tests.features.log import seconds

FEATURES = FeatureSet.of(["purchase", "view"])
TEA, CUP, JAM, NEW = range(4)
TEA_BEHAVIOUR = {
    "users_1d": 1,
    "users_7d": 3,
    "users_28d": 12,
    "users_90d": 21,
    "users": 40,
    "count_purchase_1d": 0,
    "count_purchase_7d": 2,
    "count_purchase_28d": 11,
    "count_purchase_90d": 22,
    "count_purchase": 45,
    "count_view_1d": 1,
    "count_view_7d": 5,
    "count_view_28d": 10,
    "count_view_90d": 20,
    "count_view": 60,
    "occasions_28d": 15,
    "weight_28d": 13.5,
    "new_users_7d": 2,
    "new_users_28d": 8,
    "returned": 10,
    "value_sum": 300,
    "value_count": 50,
    "first_at": seconds(11),
    "last_at": seconds(98),
}
USER_BEHAVIOUR = {
    "occasions_1d": 0,
    "occasions_7d": 1,
    "occasions_28d": 2,
    "occasions_90d": 4,
    "occasions": 5,
    "count_purchase_1d": 0,
    "count_purchase_7d": 0,
    "count_purchase_28d": 3,
    "count_purchase_90d": 6,
    "count_purchase": 7,
    "count_view_1d": 0,
    "count_view_7d": 1,
    "count_view_28d": 2,
    "count_view_90d": 4,
    "count_view": 8,
    "distinct_items": 9,
    "value_sum_28d": 8,
    "value_sum_90d": 40,
    "value_sum": 60,
    "value_count": 15,
    "value_sum_squares": 255,
    "pairs": 12,
    "first_at": seconds(4),
    "last_at": seconds(92),
}
ITEMS = ItemState(
    now=seconds(100),
    columns=FEATURES.item_columns,
    # Of the other items nothing is known.
    behaviour=np.array([list(TEA_BEHAVIOUR.values()), *np.full((3, len(TEA_BEHAVIOUR)), np.nan)]),
    neighbours=Neighbours(
        *(
            sp.csr_array(np.array(rows, dtype=np.float32))
            for rows in (
                [[0, 0.5, 0.75, 0], [0.125, 0, 0.25, 0], [1, 2, 0, 0], [0, 0, 0, 0]],
                [[0, 3, -1, 0], [4, 0, 2, 0], [1, 0, 0, 0], [0, 0, 0, 0]],
                [[5, 0, 3, 0], [0, 2, -1, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
            )
        )
    ),
)
# Cup on the latest occasion, on day 92; tea on three occasions, from day 29 to day 69.
USER = UserState(
    behaviour=np.array(list(USER_BEHAVIOUR.values())),
    history=np.array([CUP, TEA]),
    occasions=np.array([1.0, 3.0]),
    first_at=np.array([seconds(92), seconds(29)]),
    last_at=np.array([seconds(92), seconds(69)]),
    types=np.array(["view", "purchase"]),
    spent=np.array([0.0, 6.0]),
)
NOTHING = np.array([])
NOBODY = UserState(
    np.full(len(USER_BEHAVIOUR), np.nan),
    NOTHING.astype(np.int64),
    NOTHING,
    NOTHING,
    NOTHING,
    NOTHING.astype(np.str_),
    NOTHING,
)


def user_with(**behaviour: float) -> UserState:
    """The user, of whom something else is known."""
    return replace(USER, behaviour=np.array(list((USER_BEHAVIOUR | behaviour).values())))


def rows_of(candidates: Sequence[int], *, user: UserState = USER, items: ItemState = ITEMS) -> list[dict[str, float]]:
    """The features of candidates by name."""
    matrix = assemble(FEATURES, user, items, np.array(candidates, dtype=np.int64), None)
    return [dict(zip(FEATURES.behaviour, row, strict=True)) for row in matrix.tolist()]


def row_of(candidate: int, *, user: UserState = USER, items: ItemState = ITEMS) -> dict[str, float]:
    """The features of one candidate by name."""
    (row,) = rows_of([candidate], user=user, items=items)
    return row


def family_of(prefix: str, row: dict[str, float]) -> dict[str, float]:
    """The features whose names begin so, without that beginning."""
    return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
