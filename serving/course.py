"""A request on its way: how much time it has left, and what it has to do without."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from serving.stage import LeftOut, Stage

ANSWERING_S: Final = 0.0005
"""For the answer to become JSON, and its impression a row for the log."""

CAUTION: Final = 1.25
"""What follows may be slower than usual."""
SPARED: Final = 0.25
"""Of the time that is left no stage gets all: one that hangs must not cost those behind it theirs, of which it may not
be known how long they take."""

T = TypeVar("T")


class Course:
    """Of one request, from when its body is read."""

    def __init__(self, deadline_ms: float | None = None, *, started: float | None = None) -> None:
        """deadline_ms  None: as long as it takes
        started      by time.perf_counter; now if absent
        """
        begins = time.perf_counter() if started is None else started
        self._ends = None if deadline_ms is None else begins + deadline_ms / 1000
        self.degraded: Final[list[str]] = []
        """STAGE: REASON of all that was left out."""

    def begins_later(self, seconds: float) -> None:
        """It stood in a queue for so long: its time runs from now on."""
        if self._ends is not None:
            self._ends += seconds

    def left(self, keep: float = 0.0) -> float | None:
        """The seconds for the next stage; None: as many as it takes.

        keep  what follows usually takes so many; infinity when that is not known
        """
        if self._ends is None:
            return None
        left = self._ends - time.perf_counter() - ANSWERING_S
        # What there is no time for in any case takes none.
        kept = min(CAUTION * keep, left) if keep <= left else 0.0
        return left - max(kept, SPARED * left)

    def attempt(
        self,
        stage: Stage,
        work: Callable[[], T],
        *,
        size: int = 1,
        keep: float = 0.0,
        spent: float = 0.0,
        meanwhile: Callable[[], None] | None = None,
    ) -> T | None:
        """What the work returns, which is not None; None when it was left out. `spent`, `meanwhile`: Stage.run."""
        try:
            return stage.run(work, size=size, within=self.left(keep), spent=spent, meanwhile=meanwhile)
        except LeftOut as left_out:
            self.go_without(stage.name, left_out.reason)
            return None

    def go_without(self, what: str, reason: str) -> None:
        """Say so in the answer, once."""
        if (said := f"{what}: {reason}") not in self.degraded:
            self.degraded.append(said)
