"""Interactions that a test can write down."""

import numpy as np

from benchmarks.peer_models.known import SECONDS_A_DAY, Known


def known_of(*rows: tuple[int, int, float], now: float, n_users: int = 2, n_items: int = 2) -> Known:
    """Of (user, item, day) rows in the order of days, as known on the day `now`."""
    users, items, days = (np.array(column) for column in zip(*rows, strict=True))
    return Known(users, items, days * SECONDS_A_DAY, now * SECONDS_A_DAY, n_users, n_items)
