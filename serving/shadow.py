"""Ask engines what users ask of another one, off the path of the answers, and log their lists.

One thread has all engines of shadows, and nobody else touches them. It begins in a quiet moment, and what it cannot
take is dropped: a list of a shadow that is missing costs nothing, and one that an answer waits for costs what it is
there to find out.
"""

import logging
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Final

from serving.events import EventLog
from serving.protocol import Engine
from serving.types import RankedList, ShadowList

MOST_WAITING: Final = 8
"""Requests; the latest is dropped when so many wait."""

QUIET_S: Final = 0.01
"""Since the last request began, before a shadow is asked. Requests follow each other in bursts, as those of a page."""

SWITCH_S: Final = 0.0005
"""So long an answer waits for the interpreter while a shadow has it; Python itself says ten times as much."""

_LOG: Final = logging.getLogger(__name__)


class Shadows:
    """Of one event log. The thread begins with the first work, and lives as long as the process."""

    def __init__(self, event_log: EventLog) -> None:
        self._event_log = event_log
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = Lock()
        self._thread: Thread | None = None
        self._waiting = 0
        self._busy_at = -QUIET_S
        self.dropped = 0
        """Requests that no shadow was asked."""

    def between_requests(self, work: Callable[[], None]) -> None:
        """Have this done where shadows are asked, before the requests to come: what changes their engines."""
        self._put(work)

    def is_busy(self) -> None:
        """A request begins."""
        self._busy_at = time.perf_counter()

    def ask(self, engine: Engine, question: Callable[[Engine], RankedList], about: ShadowList) -> bool:
        """Have the engine asked and its list logged; `about`: all but the list. Returns whether there was room."""
        with self._lock:
            if self._waiting >= MOST_WAITING:
                self.dropped += 1
                return False
            self._waiting += 1
        self._put(lambda: self._answer(engine, question, about))
        return True

    def _answer(self, engine: Engine, question: Callable[[Engine], RankedList], about: ShadowList) -> None:
        while (wait := self._busy_at + QUIET_S - time.perf_counter()) > 0:
            time.sleep(wait)
        started = time.perf_counter()
        try:
            ranked = question(engine)
        finally:
            with self._lock:
                self._waiting -= 1
        about.items = [item.item_id for item in ranked.items]
        about.timestamp = datetime.now(UTC)
        about.took_ms = round((time.perf_counter() - started) * 1000, 3)
        self._event_log.show_shadow(about)

    def _put(self, work: Callable[[], None]) -> None:
        self._work.put(work)
        with self._lock:
            if self._thread is None:
                sys.setswitchinterval(SWITCH_S)
                self._thread = Thread(target=self._run, name="shadow", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except Exception as error:  # it is there to be tried out; the kind and the place, a message may name a user
                places = "".join(traceback.format_tb(error.__traceback__))
                _LOG.error("a shadow failed with %s\n%s", type(error).__qualname__, places)
            # It may hold an engine that nobody else needs any more.
            del work
