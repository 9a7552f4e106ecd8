"""Rows in the order of their users: one sort of 64-bit numbers, which takes a third of a sort by several columns."""

import numpy as np
import polars as pl

from features.daily.events import LOGGED
from features.daily.keys import USER_KEY
from recsys.state import Positions

ROW = "row"


def by_user(rows: pl.DataFrame) -> pl.DataFrame:
    """In the order of user_key; the rows of a user stay in theirs."""
    found = rows[_sorted(rows[USER_KEY], np.arange(len(rows), dtype=np.uint64))]
    # Two users may agree in all bits that there was room for.
    return found if found[USER_KEY].is_sorted() else rows.sort(USER_KEY, maintain_order=True)


def latest_first(rows: pl.DataFrame, at: str) -> pl.DataFrame:
    """In the order of user_key, and of a user the latest first; of several at one time the one logged last.

    rows  with a UInt32 number of each in `row`, which most often is larger the later it was
    """
    if len(rows) == 0:
        return rows.drop(ROW)
    numbers = rows[ROW].to_numpy()
    last = numbers.max()
    place = np.empty(int(last) + 1, dtype=np.uint32)
    place[numbers] = np.arange(len(rows), dtype=np.uint32)
    found: pl.DataFrame = rows[place[last - _sorted(rows[USER_KEY], (last - numbers).astype(np.uint64))]].drop(ROW)
    if _is_latest_first(found, at):
        return found
    return rows.drop(ROW).sort(USER_KEY, at, LOGGED, descending=[False, True, True])


def starts_of(rows: pl.DataFrame) -> Positions:
    """Where each user begins, in rows that have those of a user together."""
    keys = rows[USER_KEY].to_numpy()
    return np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])


def _sorted(keys: pl.Series, numbers: np.ndarray) -> np.ndarray:
    """The numbers by as many bits of their keys as there is room for beside them, and by themselves: uint32."""
    if len(keys) == 0:
        return np.zeros(0, dtype=np.uint32)
    values = keys.to_numpy()
    least, most = values.min(), values.max()
    unused = np.uint64(64 - int(most - least).bit_length())
    room = np.uint64(int(numbers.max()).bit_length())
    packed = ((values - least) << unused >> room << room) | numbers
    return (pl.Series(packed).sort().to_numpy() & np.uint64((1 << int(room)) - 1)).astype(np.uint32)


def _is_latest_first(rows: pl.DataFrame, at: str) -> bool:
    user, time, logged = (pl.col(name) for name in (USER_KEY, at, LOGGED))
    later = (time > time.shift()) | ((time == time.shift()) & (logged > logged.shift()))
    wrong = (user < user.shift()) | ((user == user.shift()) & later)
    return not rows.select(wrong.any()).item()
