"""The event log: what users did and how items changed, never lost once acknowledged, and what users were shown.

Writes  events.db, SQLite in WAL mode (tables: serving.event_tables)

One thread writes. Whatever waits for it goes into one transaction, so that many small requests share one flush of the
disk. Several processes may write to one log.
"""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Final, NamedTuple, Self, TypeVar

from recsys.errors import RecsysError
from serving.event_tables import Acknowledged, add_impression, add_interaction, connect
from serving.feature_table import add_features
from serving.item_table import add_item
from serving.item_types import ItemVersion
from serving.types import Impression, Interaction, ServedFeatures
from serving.user_table import add_user
from serving.user_types import UserVersion

MAX_JOBS_PER_COMMIT: Final = 256
MAX_WAITING_JOBS: Final = 10_000
"""With more than these waiting for the disk, impressions are dropped; events still wait for their turn."""

T = TypeVar("T")
_LOG: Final = logging.getLogger(__name__)


class NotStoredError(RecsysError):
    """The log could not be written; nothing of the request is in it."""


class _Job(NamedTuple):
    add: Callable[[sqlite3.Connection, datetime], Any]
    """Adds rows that were received at that moment; what it returns becomes the result of `done`."""
    done: "Future[Any]"


class EventLog:
    """Append-only, for several threads; open one a process."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Use `EventLog.open`. The connection belongs to the writing thread from here on."""
        self._path = path
        self._connection = connection
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._open = True
        self._entrance = Lock()
        self._writer = Thread(target=self._write, name="event-log", daemon=True)
        self._writer.start()

    @classmethod
    def open(cls, path: Path) -> Self:
        """The log in this file, which is made when it is not there. Raises DataError when it cannot be used."""
        return cls(path, connect(path))

    def append(self, interactions: Sequence[Interaction]) -> list[Acknowledged]:
        """Store all of these in one transaction and return once they are on the disk, in the order given.

        An event without event_id gets one, an event without timestamp happened now. Raises NotStoredError.
        """
        return self.submit(interactions).result()

    def submit(self, interactions: Sequence[Interaction]) -> "Future[list[Acknowledged]]":
        """`append` for callers that do not want to block."""
        return self._submit(lambda connection, now: [add_interaction(connection, each, now) for each in interactions])

    def submit_items(self, items: Sequence[ItemVersion]) -> "Future[list[int]]":
        """Store these in one transaction; the result, once they are on the disk, is the sequence of each.

        Raises NotStoredError, here or in the future.
        """
        return self._submit(lambda connection, now: [add_item(connection, item, now) for item in items])

    def submit_users(self, users: Sequence[UserVersion]) -> "Future[list[int]]":
        """The same of users and their attributes."""
        return self._submit(lambda connection, now: [add_user(connection, user, now) for user in users])

    def show(self, impression: Impression, features: ServedFeatures | None = None) -> None:
        """Log what was shown, soon and off the caller's path. A crash or a disk that cannot follow may cost it."""

        def add(connection: sqlite3.Connection, _: datetime) -> None:
            add_impression(connection, impression)
            if features is not None:
                add_features(connection, impression.request_id, features)

        job = _Job(add, Future())
        if self._jobs.qsize() >= MAX_WAITING_JOBS or not self._enter(job):
            _LOG.warning("the event log is closed or cannot keep up: an impression was dropped")

    def close(self) -> None:
        """Write what waits and end. A second call does nothing."""
        with self._entrance:
            if self._open:
                self._open = False
                self._jobs.put(None)
        self._writer.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _submit(self, add: Callable[[sqlite3.Connection, datetime], list[T]]) -> "Future[list[T]]":
        job = _Job(add, Future())
        if not self._enter(job):
            raise NotStoredError(f"{self._path}: the event log is closed; the server is stopping, send it again")
        return job.done

    def _enter(self, job: _Job) -> bool:
        with self._entrance:  # nothing may enter behind the end mark, nobody would answer it
            if self._open:
                self._jobs.put(job)
            return self._open

    def _write(self) -> None:
        last = False
        while not last:
            waiting = [self._jobs.get()]
            waiting += [self._jobs.get() for _ in range(min(self._jobs.qsize(), MAX_JOBS_PER_COMMIT - 1))]
            last = waiting[-1] is None
            # From here on a caller cannot cancel any more: a cancelled future takes no result.
            self._commit([job for job in waiting if job and job.done.set_running_or_notify_cancel()])
        self._connection.close()

    def _commit(self, jobs: Sequence[_Job]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = [job.add(self._connection, datetime.now(UTC)) for job in jobs]
            self._connection.execute("COMMIT")
        except Exception as error:  # whatever it was, the callers must hear of it and the thread must live on
            if self._connection.in_transaction:
                self._connection.rollback()
            # The kind of error alone: a message might carry a value of the event.
            kind = type(error).__name__
            _LOG.error("the event log could not be written: %s", kind)
            for job in jobs:
                job.done.set_exception(NotStoredError(f"{self._path}: {kind}; nothing was stored, send it again later"))
        else:
            for job, result in zip(jobs, results, strict=True):
                job.done.set_result(result)
