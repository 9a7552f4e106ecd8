"""The interest of users as it was computed last, for when it cannot be computed in time."""

import mmap
import time
from collections import OrderedDict
from typing import Final, NamedTuple

import numpy as np

from recsys.interest import Vectors
from recsys.state import Positions

MOST_BYTES: Final = 64 << 20

OWN_PAGES_FROM: Final = 64 << 10
"""Bytes of signals from which on they have pages of their own.

They stay until others need their room, minutes later. Among what a request holds for milliseconds they would leave
holes in the arenas of the C library, which grow by them.
"""

Key = tuple[str, bool]


class Known(NamedTuple):
    """Signals float32 (n, signals) of the items at `positions`, int64 (n,) in rising order; None: of the first n."""

    at: float
    positions: Positions | None
    signals: Vectors


class LastInterest:
    """Of the users that asked last, as much as there is room for: of each the whole catalogue, and some candidates."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._known: OrderedDict[Key, Known] = OrderedDict()
        self._bytes = 0

    def put(self, user_id: str, positions: Positions | None, signals: Vectors) -> None:
        """Signals of candidates, or of the whole catalogue when positions is None. Nobody may write to them later."""
        if positions is not None:
            order = np.argsort(positions)
            positions, signals = positions[order], signals[order]
        known = Known(time.monotonic(), positions, _kept(signals))
        key = user_id, positions is None
        self._drop(self._known.pop(key, None))
        self._known[key] = known
        self._bytes += _size(known)
        while self._bytes > self._most_bytes:
            self._drop(self._known.popitem(last=False)[1])

    def of(self, user_id: str, positions: Positions | None, n_items: int) -> tuple[Vectors, float] | None:
        """The signals, and how many seconds old they are; None unless those of each candidate are known.

        Half of them would be worse than none: items are compared with each other.
        Of the whole catalogue those of items that were added since are NaN.
        """
        whole = self._known.get((user_id, True))
        if positions is None:
            if whole is None:
                return None
            missing = np.full((n_items - len(whole.signals), whole.signals.shape[1]), np.nan, dtype=np.float32)
            return np.concatenate([whole.signals, missing]), time.monotonic() - whole.at
        some = self._known.get((user_id, False))
        for known in sorted((one for one in (some, whole) if one is not None), key=lambda one: -one.at):
            rows = positions
            if known.positions is not None:
                rows = np.searchsorted(known.positions, positions).clip(max=len(known.positions) - 1)
                if not np.array_equal(known.positions[rows], positions):
                    continue
            elif positions.max(initial=-1) >= len(known.signals):
                continue
            return known.signals[rows], time.monotonic() - known.at
        return None

    def _drop(self, known: Known | None) -> None:
        if known is not None:
            self._bytes -= _size(known)


def _kept(signals: Vectors) -> Vectors:
    """The same; on pages of their own when there are many."""
    if signals.nbytes < OWN_PAGES_FROM:
        return signals
    pages = mmap.mmap(-1, signals.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    kept = np.frombuffer(pages, dtype=signals.dtype).reshape(signals.shape)  # the system takes them back with it
    kept[:] = signals
    return kept


def _size(known: Known) -> int:
    return known.signals.nbytes + (0 if known.positions is None else known.positions.nbytes)
