"""How long a stage takes on so many things, by what it took of late."""

from bisect import bisect_left, insort
from collections import deque
from typing import Final

KEPT: Final = 16
"""Durations of each size."""


class Timings:
    """The latest durations in seconds, by the size of what was worked on, in powers of two."""

    def __init__(self) -> None:
        self._latest: dict[int, deque[float]] = {}
        self._sorted: dict[int, list[float]] = {}

    def add(self, size: int, seconds: float) -> None:
        """What a thing of this size took."""
        power = size.bit_length()
        latest, ordered = self._latest.setdefault(power, deque()), self._sorted.setdefault(power, [])
        if len(latest) == KEPT:
            del ordered[bisect_left(ordered, latest.popleft())]
        latest.append(seconds)
        insort(ordered, seconds)

    def estimate(self, size: int) -> float:
        """The second longest of the latest, so that a single slow one means nothing; 0 when nothing is known.

        Of a size that was not seen yet that of the nearest one, in proportion where that is smaller.
        """
        known = {power: ordered[-2] for power, ordered in self._sorted.items() if len(ordered) > 1}
        power = size.bit_length()
        if power in known or not known:
            return known.get(power, 0.0)
        nearest = min(known, key=lambda other: (abs(other - power), other))
        factor: float = 2.0 ** max(0, power - nearest)
        return known[nearest] * factor

    def forget(self) -> None:
        """Know of no durations."""
        self._latest.clear()
        self._sorted.clear()
