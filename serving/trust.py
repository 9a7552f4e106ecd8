"""Which stages may run in the thread of a request, where nothing can cut them off.

One that was late there is not to be late there again, whatever the reason: slow from now on, or a machine that stood
still for a moment. So it loses the trust, and is cut off in time if it is slow; if it is not, nothing is left out.
"""

from typing import Final

TRUSTED_AFTER: Final = 16
"""After one was late, each stage of an engine must be in time so often before it is trusted again."""


class Trust:
    """Of the stages of an engine: what made one late, the trees or a channel, may be a part of others as well."""

    def __init__(self) -> None:
        self.lost: int = 0
        """So often one was late."""


class Standing:
    """That of one stage."""

    def __init__(self, trust: Trust) -> None:
        self._trust, self._lost_before = trust, trust.lost
        self._owed = 0
        self.was_late = False
        """Whether it was the last time, of those that came to an end while a request waited."""

    @property
    def is_trusted(self) -> bool:
        if self._lost_before != self._trust.lost:
            self._lost_before, self._owed = self._trust.lost, TRUSTED_AFTER
        return self._owed == 0

    def judge(self, seconds: float, within: float | None) -> None:
        """It took so long, and had so much time; None: as much as it takes, which says nothing."""
        if within is None:
            return
        self.was_late = seconds > within
        if self.was_late:
            self._trust.lost += 1
        elif not self.is_trusted:
            self._owed -= 1
