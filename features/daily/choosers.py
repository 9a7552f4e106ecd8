"""How many users chose each item, lately and again, and when: added up over some users at a time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Lock

import numpy as np
import polars as pl

from features.daily.histories import MICROSECONDS
from features.daily.keys import ITEM_KEY
from features.fields import NEW_USERS_DAYS, WINDOWS_DAYS, windowed


class Choosers:
    """Of items in one order; a pair may be added once, and pairs from several threads."""

    def __init__(self, items: int, windows_from: datetime) -> None:
        self._last_since = _starts("users", WINDOWS_DAYS, windows_from)
        self._first_since = _starts("new_users", NEW_USERS_DAYS, windows_from)
        names = (*self._last_since, *self._first_since, "users", "returned")
        self._counts = {name: np.zeros(items, dtype=np.int64) for name in names}
        self._first_at = np.full(items, np.iinfo(np.int64).max)
        self._last_at = np.full(items, np.iinfo(np.int64).min)
        self._lock = Lock()

    def add(self, pairs: pl.DataFrame) -> None:
        """Those of Partials, with the place of the item for item_key."""
        items, first_at, last_at = (pairs[name].to_numpy() for name in (ITEM_KEY, "first_at", "last_at"))
        with self._lock:
            for name, since in self._last_since.items():
                self._add(name, items[last_at >= since])
            for name, since in self._first_since.items():
                self._add(name, items[first_at >= since])
            self._add("users", items)
            self._add("returned", items[pairs["occasions"].to_numpy() > 1])
            np.minimum.at(self._first_at, items, first_at)
            np.maximum.at(self._last_at, items, last_at)

    def columns(self) -> dict[str, pl.Series]:
        """By the name of the field; times in seconds."""
        times = {"first_at": self._first_at / MICROSECONDS, "last_at": self._last_at / MICROSECONDS}
        return {name: pl.Series(values) for name, values in {**self._counts, **times}.items()}

    def _add(self, name: str, items: np.ndarray) -> None:
        self._counts[name] += np.bincount(items, minlength=len(self._counts[name]))


def _starts(stem: str, windows: Sequence[int], until: datetime) -> dict[str, int]:
    """For the column of each window its first microsecond."""
    return {windowed(stem, days): microseconds(until - timedelta(days=days)) for days in windows}


def microseconds(moment: datetime) -> int:
    """Since the epoch."""
    # A float of seconds does not hold them all.
    return (moment - datetime.fromtimestamp(0, moment.tzinfo)) // timedelta(microseconds=1)
