"""Requests that arrive while others wait are scored together, so that a GPU is started once for all of them.

A request waits for company a millisecond or so, and while another batch is scored, for that keeps the GPU busy. Each
waits no longer than it has time for, and one that leaves, or cannot be scored, costs the others nothing.
"""

import asyncio
import logging
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from recsys.bundle_files import BATCH_SCORER_FILE
from recsys.config import BatchRequests
from recsys.interest import CUDA, Vectors, execution_providers
from recsys.interest_inputs import Question
from recsys.state import Positions, UserState
from serving import watching
from serving.stage import LeftOut, Stage

logger: Final = logging.getLogger(__name__)

LONGEST_S: Final = 1.0
"""A batch of requests without a deadline keeps those that come later no longer."""

WAIT_SHARE: Final = 0.1
"""Of the time that a request has left for its interest, it waits at most so much for others."""


MOST_ON_GPU: Final = 32
"""Requests of a batch where nobody says how many."""


def most_together(bundle: Path, wanted: BatchRequests) -> int:
    """The requests that can be scored together with the files of a bundle; 1: each by itself."""
    most = wanted if wanted != "auto" else MOST_ON_GPU if CUDA in execution_providers() else 1
    if most > 1 and not (bundle / BATCH_SCORER_FILE).exists():
        logger.warning(
            "%s: no %s, so requests are scored one by one; train again with this version", bundle, BATCH_SCORER_FILE
        )
        return 1
    return most


class ScoresMany(Protocol):
    """As recsys.interest.InterestScorer does."""

    def score(
        self, user: UserState, now: float, candidates: Positions | None, query: Vectors | None
    ) -> Vectors: ...  # fmt: skip

    def score_many(self, questions: Sequence[Question]) -> list[Vectors]: ...


@dataclass(eq=False)
class _Waiting:
    """A request that waits: what it asks, until when it may be told, and when it has waited enough for others.

    Times are those of time.perf_counter.
    """

    question: Question
    ends: float
    due: float
    is_over: "asyncio.Future[None]"
    answer: Vectors | Exception | None = None
    of_batch: int = 0
    """How many were scored with it; only the first one of a batch knows."""


class InterestBatches:
    """Of one engine, with whose scorer and stage; for the thread of the event loop."""

    def __init__(self, scorer: ScoresMany, stage: Stage, *, most: int, wait_s: float) -> None:
        """most    requests of a batch
        wait_s  seconds that one waits for others
        """
        self._scorer, self._stage = scorer, stage
        self._most, self._wait_s = most, wait_s
        self._waiting: list[_Waiting] = []
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None

    async def score(self, question: Question, *, within: float | None) -> Vectors:
        """What the scorer answers: float32 (n_candidates, signals); `question` names its candidates.

        within  seconds; None: as long as it takes

        Raises LeftOut when that was not begun, was not ready in time, or failed.
        """
        began = time.perf_counter()
        if within is not None and within <= 0:
            raise LeftOut(self._stage.name, "deadline")
        limit = math.inf if within is None else within
        due = began + min(self._wait_s, WAIT_SHARE * limit)
        one = _Waiting(question, began + limit, due, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        self._begin_when_due()
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(one.is_over, within)
        finally:
            watching.took(self._stage.name, began, time.perf_counter() - began)
            if one.of_batch:
                watching.note_batch(one.of_batch)
        # It may have come in time, while the loop was busy with other requests.
        match one.answer:
            case None:
                raise LeftOut(self._stage.name, "deadline")
            case LeftOut() as left_out:
                raise left_out
            case Exception() as error:
                raise self._stage.failed(error) from error
            case signals:
                return signals

    def _begin_when_due(self) -> None:
        """Begin a batch now if it is full, else when one has waited enough; never beside another batch."""
        if self._running is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        if len(self._waiting) >= self._most:
            self._begin()
            return
        wait = min(one.due for one in self._waiting) - time.perf_counter()
        # In no request's context: what is noted and logged there is not of one of them.
        self._timer = asyncio.get_running_loop().call_later(max(0.0, wait), self._begin, context=Context())

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Those that were late, or whose client went away, wait no more.
        waiting = [one for one in self._waiting if not one.is_over.done()]
        batch, self._waiting = waiting[: self._most], waiting[self._most :]
        if batch:
            self._running = asyncio.get_running_loop().create_task(self._run(batch), context=Context())

    async def _run(self, batch: Sequence[_Waiting]) -> None:
        ends, rows = [one.ends for one in batch], sum(_rows(one.question) for one in batch)
        now, running = time.perf_counter(), self._running
        # One that hangs does not keep those that come later: they begin when the first of it waits no more.
        in_a_hurry = asyncio.get_running_loop().call_later(min(LONGEST_S, min(ends) - now), self._end, running)
        batch[0].of_batch = len(batch)
        try:
            await self._stage.run_aside(
                lambda: self._score(batch), size=rows, within=None if math.isinf(max(ends)) else max(ends) - now
            )
        except LeftOut as left_out:
            for one in batch:
                if one.answer is None:
                    one.answer = LeftOut(self._stage.name, left_out.reason)
        finally:
            for one in batch:
                if not one.is_over.done():
                    one.is_over.set_result(None)
            in_a_hurry.cancel()
            self._end(running)

    def _end(self, running: "asyncio.Task[None] | None") -> None:
        """Those that came meanwhile have waited long enough."""
        if self._running is running:
            self._running = None
            self._begin()

    def _score(self, batch: Sequence[_Waiting]) -> bool:
        """Answer each, with an error if need be; raises it when there is no other answer. In a thread of the stage."""
        try:
            found: Sequence[Vectors | Exception] = self._scorer.score_many([one.question for one in batch])
        except Exception:
            if len(batch) == 1:
                raise
            # It may be the fault of one of them.
            found = [self._alone(one.question) for one in batch]
            if isinstance(found[0], Exception) and all(isinstance(one, Exception) for one in found):
                raise found[0] from None
        for one, answer in zip(batch, found, strict=True):
            one.answer = answer
        return True

    def _alone(self, question: Question) -> Vectors | Exception:
        try:
            return self._scorer.score(*question)
        except Exception as error:  # told to the request that it belongs to
            return error


def _rows(question: Question) -> int:
    return 0 if question.candidates is None else len(question.candidates)
