"""The memory of a server: of its process and of those that it started, what they share counted once.

Of a server of one process it is what the process holds. Of several, what they share with processes of others counts in
part, and less the more of these there are: run nothing else of Python beside them.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

RSS: Final = "Rss:"
ANONYMOUS: Final = "Anonymous:"
PSS: Final = "Pss:"
"""Of a page that n processes share one n-th: those of all processes add up."""
PSS_ANONYMOUS: Final = "Pss_Anon:"

ENDS: Final = 0.1
"""The start of a measurement and its end are so large a share of it each."""


class Sample(NamedTuple):
    """So many seconds after the first one, so many bytes, and of these so many of no file.

    Pages of files, of libraries and models, come and go as the system needs room for others.
    """

    at: float
    held: int
    anonymous: int


class Flatness(NamedTuple):
    """How memory went, in MB (1e6): medians of the first and the last tenth, and the straight line through all."""

    start_mb: float
    end_mb: float
    slope_mb_an_hour: float
    deviation_percent: float
    """The most that any sample lies above or below the start."""


def resident_bytes(pid: int) -> int:
    """Of a process and its children; Linux alone says so. Raises OSError when it has ended."""
    return _of_all(pid, RSS, PSS)


def pss_bytes(pid: int) -> int:
    """Of a process and its children, what they share counted once; of what others share with them a part."""
    return sum(_held(process, PSS) for process in [pid, *_children(pid)])


def anonymous_bytes(pid: int) -> int:
    """The same of the pages that are of no file."""
    return _of_all(pid, ANONYMOUS, PSS_ANONYMOUS)


def memory_of(pid: int) -> tuple[int, int]:
    """All that is resident of a process and its children, and what is of no file."""
    return resident_bytes(pid), anonymous_bytes(pid)


def sampled(
    pid: int, ended: Event, *, every_s: float, read: Callable[[int], tuple[int, int]] = memory_of
) -> list[Sample]:
    """Until something has ended."""
    started, found = time.monotonic(), []
    while True:
        found.append(Sample(time.monotonic() - started, *read(pid)))
        if ended.wait(every_s):
            return found


def flatness(moments: Sequence[float], bytes_then: Sequence[int]) -> Flatness:
    """Of two samples or more, at these seconds. Raises ValueError when there are fewer."""
    if len(moments) < 2:
        raise ValueError(f"{len(moments)} samples of memory; expected 2 or more: measure for longer")
    at, held = np.array(moments), np.array(bytes_then) / 1e6
    some = max(1, int(ENDS * len(at)))
    start, end = float(np.median(held[:some])), float(np.median(held[-some:]))
    return Flatness(start, end, 3600 * _slope(at, held), 100 * float(np.abs(held - start).max()) / start)


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Of the line with the least squares."""
    x = x - x.mean()
    return float(x @ y / (x @ x))


def _of_all(pid: int, alone: str, among_several: str) -> int:
    """One figure of a process that has no children, else the sum of another."""
    children = _children(pid)
    if not children:
        return _held(pid, alone)
    return sum(_held(process, among_several) for process in [pid, *children])


def _held(pid: int, what: str) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(what))
    return int(line.split()[1]) * 1024


def _children(pid: int) -> list[int]:
    """Those that run, and theirs; task/*/children would say so too, where the kernel was built with it."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended in between
            # Behind the name, which may hold anything: the state, and the parent.
            _, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid:
                child = int(stat.parent.name)
                found += [child, *_children(child)]
    return found
