"""Items and users made of what a test is about."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from recsys.interest import SIGNALS
from recsys.retrieval import Query
from recsys.state import NO_AFFINITY, Affinity, ItemState, Neighbours, UserState

NOW = 1e9
A_DAY = 86_400.0
UNKNOWN = np.nan


def items(
    popularity: Sequence[float],
    *,
    age_days: Sequence[float] | None = None,
    neighbours: Sequence | None = None,
    regression: Sequence | None = None,
    successors: Sequence | None = None,
    new_users: Sequence[tuple[float, float]] | None = None,
    categories: Sequence[int] | None = None,
) -> ItemState:
    """As many items as popularities, users of the last 28 days; nothing is known of their age or of what goes together.

    neighbours  those that the same users chose
    new_users   of the last 7 days and of the last 28
    """
    n = len(popularity)
    age = np.full(n, UNKNOWN) if age_days is None else np.array(age_days)
    new = np.full((n, 2), UNKNOWN) if new_users is None else np.array(new_users, dtype=np.float64)
    behaviour = np.column_stack([np.array(popularity, dtype=np.float64), NOW - age * A_DAY, new])
    columns = ("users_28d", "first_at", "new_users_7d", "new_users_28d")
    matrices = [
        np.zeros((n, n)) if given is None else np.array(given) for given in (neighbours, regression, successors)
    ]
    of_items = Neighbours(*(sp.csr_array(matrix.astype(np.float32)) for matrix in matrices))
    of_categories = None if categories is None else np.array(categories, dtype=np.int64)
    return ItemState(NOW, columns, behaviour, of_items, of_categories)


def user(
    history: Sequence[int] = (),
    occasions: Sequence[float] | None = None,
    affinity: dict[int, float] | None = None,
) -> UserState:
    """A user with a history, the latest first, each item chosen once unless told otherwise; `affinity` by category."""
    n = len(history)
    times = NOW - A_DAY * np.arange(1.0, n + 1)
    counts = np.ones(n) if occasions is None else np.array(occasions, dtype=np.float64)
    cares = NO_AFFINITY if affinity is None else Affinity(np.array(list(affinity)), np.array(list(affinity.values())))
    return UserState(
        np.array([]),
        np.array(history, dtype=np.int64),
        counts,
        times,
        times,
        np.full(n, "purchase"),
        np.zeros(n),
        affinity=cares,
    )


def query(
    user: UserState, items: ItemState, *, interest: Sequence[float] | None = None, exclude: Sequence[int] = ()
) -> Query:
    """A request; `interest` by text in every item, None without a text model."""
    signals = None
    if interest is not None:
        # Zeros all over say that there was neither a history nor a query to go by.
        others = [np.array(interest) / 2] * (len(SIGNALS) - 1)
        signals = np.column_stack([interest, *others]).astype(np.float32)
    mask = np.zeros(len(items), dtype=np.bool_)
    mask[list(exclude)] = True
    return Query(user, items, signals, mask)
