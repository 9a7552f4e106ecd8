"""How long the machine, or another thread of this process, kept everybody waiting."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

STEP_S = 0.002


class Stalls:
    """Sleeps for two milliseconds over and over, and notes by how much each sleep was too long."""

    def __init__(self) -> None:
        self._found: list[tuple[float, float]] = []
        self.stopping = threading.Event()

    def watch(self) -> None:
        while not self.stopping.is_set():
            began = time.monotonic()
            time.sleep(STEP_S)
            self._found.append((began, time.monotonic() - began - STEP_S))

    def between(self, start: float, end: float) -> float:
        """Seconds of stalls that overlap with the time from `start` to `end`, by time.monotonic."""
        return sum(late for began, late in list(self._found) if began < end and began + late > start)


@contextmanager
def watched() -> Iterator[Stalls]:
    stalls = Stalls()
    thread = threading.Thread(target=stalls.watch)
    thread.start()
    try:
        yield stalls
    finally:
        stalls.stopping.set()
        thread.join()


@contextmanager
def at_most(seconds: float, at_least: float = 0.0) -> Iterator[None]:
    """The block takes no longer than this but for stalls, and no less than `at_least`."""
    with watched() as stalls:
        began = time.monotonic()
        yield
        ended = time.monotonic()
    assert at_least <= ended - began < seconds + stalls.between(began, ended)
