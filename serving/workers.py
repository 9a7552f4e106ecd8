"""Threads for work that may hang: who asked waits as long as is right, and the thread as long as it takes.

What runs in ONNX Runtime, LightGBM or a socket cannot be interrupted. It is left behind in its thread, and what it
returns is dropped.
"""

import time
import weakref
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any


class Job:
    """A piece of work; `done` can be acquired once it is over, which was at `ended`."""

    __slots__ = ("done", "ended", "error", "result", "work")

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work: Callable[[], Any] | None = work
        self.result: Any = None
        self.error: Exception | None = None
        self.ended: float | None = None
        self.done = Lock()
        self.done.acquire()


Jobs = SimpleQueue[Job | None]


class Workers:
    """At most so many threads, each begun when the others are busy; they end with this object."""

    def __init__(self, name: str, *, most: int, clock: Callable[[], float] = time.perf_counter) -> None:
        """`clock`: what tells when a job has ended."""
        self._name, self._most, self._clock = name, most, clock
        self._idle: deque[Jobs] = deque()
        self._begun = 0

    def start(self, work: Callable[[], Any]) -> Job | None:
        """Have this done at once; None when every thread is busy."""
        try:
            jobs = self._idle.popleft()
        except IndexError:
            if self._begun == self._most:
                return None
            self._begun += 1
            jobs = Jobs()
            Thread(target=_work, args=(jobs, self._idle, self._clock), name=f"stage-{self._name}", daemon=True).start()
            weakref.finalize(self, jobs.put, None)
        # In the context of who asked: to which request it belongs.
        job = Job(partial(copy_context().run, work))
        jobs.put(job)
        return job


def _work(jobs: Jobs, idle: deque[Jobs], clock: Callable[[], float]) -> None:
    while (job := jobs.get()) is not None:
        assert job.work is not None
        try:
            job.result = job.work()
        except Exception as error:  # raised again where the work was asked for
            job.error = error
        job.ended = clock()
        # It may hold a whole engine, which nobody else needs any more.
        job.work = None
        # Before it is known to be done: who asked may have more work at once.
        idle.append(jobs)
        job.done.release()
        del job
