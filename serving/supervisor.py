"""Several processes that answer on one port: the parent opens the socket, starts them and keeps their number.

Each worker is a fork of this process (serving.forked), which accepts from the shared socket. One that dies is started
again; the others answer meanwhile. SIGTERM and SIGINT drain them all.
"""

import gc
import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from socket import socket
from types import FrameType
from typing import Final, Literal, NamedTuple

from recsys.errors import RecsysError
from serving.forked import Worker
from serving.listening import listen

PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Before a worker that died is started again: longer each time it dies young, so that one that cannot live does not
take the processor from those that do."""
YOUNG_S: Final = 60.0
END_S: Final = 40.0
"""How long workers may take to end: they drain for 30 seconds (serving.server), and then close their logs."""

_LOG: Final = logging.getLogger(__name__)


class WorkerError(RecsysError):
    """A worker ended before all were ready for the first time."""


class Event(NamedTuple):
    """What happened to the worker of a place; `stop`: to this process."""

    kind: Literal["ready", "ended", "stop"]
    place: int = -1
    line: str = ""
    code: int = 0


@dataclass
class Place:
    """One of the workers, whichever process it is at the moment."""

    worker: Worker | None = None
    started_at: float = 0.0
    young_deaths: int = 0
    start_at: float | None = None
    """When it is to be started again."""


def supervise(workers: int, serve: Callable[[socket], None], *, host: str, port: int) -> None:
    """Serve with so many processes, each of which does this with the socket, until SIGTERM or SIGINT.

    Prints one line when all are ready. Call it in the main thread, which gets the signals, when all that is needed to
    serve is imported. Raises AddressError, or WorkerError when one of the first workers does not come up.
    """
    with listen(host, port) as listener:
        # What collects garbage would write to the memory that the workers share.
        gc.collect()
        gc.freeze()
        Supervisor(serve, listener, workers).run()


@dataclass
class Supervisor:
    serve: Callable[[socket], None]
    listener: socket
    workers: int
    _events: "SimpleQueue[Event]" = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        self._places = [Place() for _ in range(self.workers)]

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        try:
            for place in range(self.workers):
                self._start(place)
            if self._wait_until_ready():
                self._keep_alive()
        finally:
            self._end_all()

    def _wait_until_ready(self) -> bool:
        """False when told to stop before. Raises WorkerError."""
        ready: dict[int, str] = {}
        while len(ready) < self.workers:
            event = self._events.get()
            if event.kind == "stop":
                return False
            if event.kind == "ended":
                raise WorkerError(
                    f"worker {event.place + 1} of {self.workers} ended with exit code {event.code} before it was "
                    "ready; what it said is above"
                )
            ready[event.place] = event.line
        print(f"{ready[0]}; {self.workers} workers", flush=True)
        return True

    def _keep_alive(self) -> None:
        while True:
            due = [place.start_at for place in self._places if place.start_at is not None]
            try:
                event = self._events.get(timeout=max(0.0, min(due) - time.monotonic()) if due else None)
            except Empty:
                for number, place in enumerate(self._places):
                    if place.start_at is not None and place.start_at <= time.monotonic():
                        self._start(number)
                continue
            if event.kind == "stop":
                return
            if event.kind == "ended":
                self._plan_restart(event)
            else:
                _LOG.warning("worker %d is ready again", event.place + 1)

    def _plan_restart(self, event: Event) -> None:
        place, now = self._places[event.place], time.monotonic()
        died_young = now - place.started_at < YOUNG_S
        place.young_deaths = place.young_deaths + 1 if died_young else 0
        pause = PAUSES_S[min(place.young_deaths, len(PAUSES_S) - 1)]
        place.worker, place.start_at = None, now + pause
        _LOG.error("worker %d ended with exit code %d; it is started again in %g s", event.place + 1, event.code, pause)

    def _start(self, number: int) -> None:
        others = [place.worker for place in self._places if place.worker is not None]
        worker = Worker(lambda: self.serve(self.listener), others)
        place = self._places[number]
        place.worker, place.started_at, place.start_at = worker, time.monotonic(), None
        threading.Thread(target=self._follow, args=[number, worker], name=f"worker-{number + 1}", daemon=True).start()

    def _follow(self, number: int, worker: Worker) -> None:
        for line in worker.lines:
            self._events.put(Event("ready", number, line.rstrip("\n")))
        self._events.put(Event("ended", number, code=worker.reap()))

    def _stop(self, _: int, __: FrameType | None) -> None:
        self._events.put(Event("stop"))

    def _end_all(self) -> None:
        workers = [place.worker for place in self._places if place.worker is not None]
        for worker in workers:
            worker.send(signal.SIGTERM)
        deadline = time.monotonic() + END_S
        for worker in workers:
            if not worker.wait(max(0.0, deadline - time.monotonic())):
                _LOG.error("a worker did not end within %g s of SIGTERM and is killed", END_S)
                worker.send(signal.SIGKILL)
                worker.wait()
