"""Some pieces of work at a time: Polars uses every core, but not all the time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")

AT_ONCE = 2  # as many are in memory together


def side_by_side(work: Callable[[Piece], None], pieces: Iterable[Piece]) -> None:
    """Do all of it; raises what the first piece that fails does, when those that have begun are done."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        begun = [threads.submit(work, piece) for piece in pieces]
        try:
            for each in begun:
                each.result()
        except BaseException:
            threads.shutdown(wait=True, cancel_futures=True)
            raise
