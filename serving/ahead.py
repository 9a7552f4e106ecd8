"""Work that is done before its turn, in the thread of the request, while the text model has one of its own."""

import time
from collections.abc import Callable
from contextlib import suppress

from serving.stage import Stage


class Ahead:
    """A part of what a stage does later; call it once."""

    def __init__(self, stage: Stage, work: Callable[[], object], *, size: int = 1, within: float | None) -> None:
        """size, within  of the stage. Where it might be late, or nobody knows, nothing is done before its turn: there
        it can be cut off.
        """
        self._work = work if within is not None and stage.is_sure(size, within) else None
        self.seconds = 0.0
        """What it took."""

    def __call__(self) -> None:
        if self._work is None:
            return
        began = time.perf_counter()
        # What fails here fails again at its turn, and there it is said.
        with suppress(Exception):
            self._work()
        self.seconds = time.perf_counter() - began
