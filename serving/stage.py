"""A part of a request that may be left out: when it would not be ready in time, and when it fails.

How long it takes is judged before it starts, by what it took of late. One that hangs all the same is cut off, but where
it runs in the thread of its request; there only those run that have earned it (serving.trust). A stage that is left out
is tried again four times a second, by a single request, so that it comes back by itself: the circuit breaker of Nygard,
"Release It!", 2007.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Literal, TypeVar

from recsys.errors import ChannelError, RecsysError
from serving import watching
from serving.timings import Timings
from serving.trust import Standing, Trust
from serving.workers import Job, Workers

Reason = Literal["deadline", "error"]

RETRY_S: Final = 0.25
"""So long after it was too slow, or failed again and again, a stage is left alone."""

ERRORS_IN_A_ROW: Final = 3
"""After so many it is left alone."""

SURE: Final = 0.5
"""What takes so much of its time, or less, will be in time."""

HURRY: Final = 0.5
FORGET: Final = 0.9
"""What a request had for a stage counts for so much less with each request after it."""

MOST_HANGING: Final = 3
"""Threads of a stage; when each of them hangs it is left out until one comes back."""

T = TypeVar("T")
logger: Final = logging.getLogger(__name__)


class LeftOut(RecsysError):
    """A stage brought nothing to a request."""

    def __init__(self, name: str, reason: Reason) -> None:
        super().__init__(f"{name}: {reason}")
        self.reason: Final = reason


class Stage:
    """Of one engine; started from one thread."""

    def __init__(
        self,
        name: str,
        *,
        may_hang: bool = False,
        threads: int = MOST_HANGING,
        trust: Trust | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """may_hang  it waits for something else, so that what it took before says nothing of what it may take now;
        it is always run in a thread of its own. Any other one is only where it may well be late: on a busy machine
        each thread costs a request the wait for a core.
        trust     that of the stages which do the same work in part; its own if absent
        """
        self.name: Final = name
        self._may_hang = may_hang
        self._clock = clock
        self._standing = Standing(Trust() if trust is None else trust)
        self._workers = Workers(name, most=threads, clock=clock)
        self._timings = Timings()
        self._hanging: list[tuple[Job, int, float]] = []
        """What was cut off and may go on yet, of which size it is, and when it began."""
        self._usual = 0.0
        """Seconds that requests had of late, those that had the most."""
        self._errors = 0
        self._retry_at = -float("inf")

    def estimate(self, size: int = 1) -> float:
        """The seconds that it takes on so many things; 0 when that is not known yet."""
        return self._timings.estimate(size)

    def is_sure(self, size: int, within: float) -> bool:
        """Whether it may run where nothing can cut it off."""
        return not self._may_hang and self._standing.is_trusted and 0 < self._timings.estimate(size) <= SURE * within

    def run(
        self,
        work: Callable[[], T],
        *,
        size: int = 1,
        within: float | None = None,
        spent: float = 0.0,
        meanwhile: Callable[[], None] | None = None,
    ) -> T:
        """What `work` returns.

        size       of how many things, on which it depends how long it takes
        within     seconds; None: as long as it takes, and in this thread
        spent      seconds that a part of it took before its turn
        meanwhile  done in this thread while the work has one of its own; where it has none, not at all

        Raises LeftOut when it was not begun, was not ready in time, or failed.
        """
        began = time.perf_counter()
        try:
            return self._run(work, size, within, spent, meanwhile)
        finally:
            watching.took(self.name, began, time.perf_counter() - began)

    async def run_aside(self, work: Callable[[], T], *, size: int = 1, within: float | None = None) -> T:
        """As `run`, but always in a thread of its own, while the event loop does other things; notes nothing."""
        started = self._clock()
        is_probe = self._is_probe(size, within, started)
        loop, is_over = asyncio.get_running_loop(), asyncio.Event()

        def told() -> T:
            try:
                return work()
            finally:
                # A loop that was closed has nobody who waits.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(is_over.set)

        job = self._begin(told)
        try:
            await asyncio.wait_for(is_over.wait(), within)
        except TimeoutError:
            # The loop may have been busy when it was over.
            if job.ended is None:
                raise self._cut_off(job, size, started) from None
        # What is left of it are microseconds.
        job.done.acquire()
        result: T = self._returned(job, size, within, started, is_probe=is_probe)
        return result

    def _run(
        self,
        work: Callable[[], T],
        size: int,
        within: float | None,
        spent: float,
        meanwhile: Callable[[], None] | None,
    ) -> T:
        started = self._clock()
        is_probe = self._is_probe(size, within, started)
        if within is None or (not is_probe and self.is_sure(size, within)):
            try:
                result = work()
            except Exception as error:
                self._standing.judge(self._clock() - started, within)
                raise self.failed(error) from error
            self._succeeded(size, within, self._clock() - started, spent, is_probe=is_probe)
            return result
        job = self._begin(work)
        left = within
        if meanwhile is not None:
            meanwhile()
            left = max(0.0, within - (self._clock() - started))
        if not job.done.acquire(timeout=left):
            raise self._cut_off(job, size, started)
        result = self._returned(job, size, within, started, spent, is_probe=is_probe)
        return result

    def failed(self, error: Exception) -> LeftOut:
        """Count an error of work that was done for this stage, and say so in the log; returns what is to be raised."""
        self._errors += 1
        self._retry_at = self._clock() + RETRY_S
        if self._errors == 1:
            # Not at each request.
            logger.error("%s is left out of a request: %s", self.name, _told(error))
        return LeftOut(self.name, "error")

    def _begin(self, work: Callable[[], object]) -> Job:
        job = self._workers.start(work)
        if job is None:
            raise LeftOut(self.name, "deadline")
        return job

    def _cut_off(self, job: Job, size: int, started: float) -> LeftOut:
        self._hanging.append((job, size, started))
        self._retry_at = self._clock() + RETRY_S
        return LeftOut(self.name, "deadline")

    def _returned(
        self, job: Job, size: int, within: float | None, started: float, spent: float = 0.0, *, is_probe: bool
    ) -> Any:
        if job.error is not None:
            raise self.failed(job.error) from job.error
        assert job.ended is not None
        self._succeeded(size, within, job.ended - started, spent, is_probe=is_probe)
        return job.result

    def _succeeded(self, size: int, within: float | None, seconds: float, spent: float, *, is_probe: bool) -> None:
        if is_probe and within is not None and seconds <= within:
            self._timings.forget()
            self._hanging.clear()
        self._timings.add(size, seconds + spent)
        self._standing.judge(seconds, within)
        if self._errors:
            logger.warning("%s works again", self.name)
        self._errors = 0

    def _is_probe(self, size: int, within: float | None, now: float) -> bool:
        """Whether it is tried although it seems too slow. Raises LeftOut when it is not to be tried."""
        if self._errors >= ERRORS_IN_A_ROW and now < self._retry_at:
            raise LeftOut(self.name, "error")
        if within is None:
            return False
        self._usual = max(within, FORGET * self._usual)
        if within <= 0:
            raise LeftOut(self.name, "deadline")
        # A single one that hangs, or was late, means as little as a single one that was slow.
        if self._still_hanging() + self._standing.was_late <= 1 and self._timings.estimate(size) <= within:
            return False
        # A request in more of a hurry than others would learn nothing, and keep them from learning.
        if now < self._retry_at or within < HURRY * self._usual:
            raise LeftOut(self.name, "deadline")
        self._retry_at = now + RETRY_S
        return True

    def _still_hanging(self) -> int:
        """How many that were cut off go on. Those that have ended since took as long as they took."""
        going_on = []
        for job, size, started in self._hanging:
            if job.ended is None:
                going_on.append((job, size, started))
            else:
                self._timings.add(size, job.ended - started)
        self._hanging = going_on
        return len(going_on)


def _told(error: Exception) -> str:
    """Our own words; of any other error the kind and the place, for its message might carry a user's id."""
    # A channel of the project, which failed by an error of its own.
    cause = error.__cause__ if isinstance(error, ChannelError) and error.__cause__ is not None else error
    if isinstance(cause, RecsysError):
        return str(cause)
    return f"{type(cause).__qualname__}\n{''.join(traceback.format_tb(cause.__traceback__))}"
