"""The event log: what users did and how items changed, never lost once acknowledged, and what users were shown.

Writes  events.db, SQLite in WAL mode (tables: serving.event_tables)

One thread writes. Whatever waits for it goes into one transaction, so that many small requests share one flush of the
disk. What was shown, for which nobody waits, is written with the next event or some milliseconds later: a transaction
for each answer would keep the next request from its work. Several processes may write to one log. While it cannot be
written, events are answered with an error and impressions are dropped; the next thing to be written tries again.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Final, NamedTuple, Self, TypeVar

from recsys.errors import RecsysError
from serving.item_types import ItemVersion
from serving.log_rows import Acknowledged
from serving.log_store import Entries, LogStore, SqliteStore, StoreUnavailableError, Written
from serving.types import Impression, Interaction, ServedFeatures, ShadowList
from serving.user_types import UserVersion

MAX_JOBS_PER_COMMIT: Final = 256
MAX_WAITING_JOBS: Final = 10_000
"""With more than these waiting for the disk, impressions are dropped; events still wait for their turn."""

SHOWN_WITHIN_S: Final = 0.05
"""So long after an answer its impression is on its way to the disk."""

T = TypeVar("T")
_LOG: Final = logging.getLogger(__name__)


class NotStoredError(RecsysError):
    """The log could not be written; nothing of the request is in it."""


class _Job(NamedTuple):
    entries: Entries
    result: Callable[[Written], Any]
    """What of it becomes the result of `done`."""
    done: "Future[Any]"


class _Shown:
    """Stands in the queue for impressions that have begun to wait."""


class EventLog:
    """Append-only, for several threads; open one a process."""

    def __init__(self, path: Path, store: LogStore, *, no_room: str | None = None) -> None:
        """The store, which readers find in the file at `path`, belongs to the writing thread from here on.

        no_room  why it cannot be written just now, if it is known that it cannot
        """
        self._path = path
        self._store = store
        self._jobs: SimpleQueue[_Job | _Shown | None] = SimpleQueue()
        self._shown: list[_Job] = []
        """Impressions, and what shadows would have shown."""
        self._open = True
        self._entrance = Lock()
        self.failing = False
        """Whether the latest attempt to write failed: events are refused, and impressions are lost."""
        self.dropped = 0
        """Impressions that were lost since this process began."""
        if no_room is not None:
            self._begin_to_fail(no_room)
        self._writer = Thread(target=self._write, name="event-log", daemon=True)
        self._writer.start()

    @classmethod
    def open(cls, path: Path) -> Self:
        """The log in this file, which is made when it is not there. Raises DataError when it cannot be used.

        On a disk that is full it fails from the start, and goes on when there is room.
        """
        store = SqliteStore(path)
        return cls(path, store, no_room=store.no_room)

    def append(self, interactions: Sequence[Interaction]) -> list[Acknowledged]:
        """Store all of these in one transaction and return once they are on the disk, in the order given.

        An event without event_id gets one, an event without timestamp happened now. Raises NotStoredError.
        """
        return self.submit(interactions).result()

    def submit(self, interactions: Sequence[Interaction]) -> "Future[list[Acknowledged]]":
        """`append` for callers that do not want to block."""
        return self._submit(Entries(interactions=interactions), lambda written: written.interactions)

    def submit_items(self, items: Sequence[ItemVersion]) -> "Future[list[int]]":
        """Store these in one transaction; the result, once they are on the disk, is the sequence of each.

        Raises NotStoredError, here or in the future.
        """
        return self._submit(Entries(items=items), lambda written: written.items)

    def submit_users(self, users: Sequence[UserVersion]) -> "Future[list[int]]":
        """The same of users and their attributes."""
        return self._submit(Entries(users=users), lambda written: written.users)

    def show(self, impression: Impression, features: ServedFeatures | None = None) -> None:
        """Log what was shown, soon and off the caller's path. A crash or a disk that cannot follow may cost it."""
        job = _Job(Entries(shown=impression, features=features), lambda written: None, Future())
        if self.waiting >= MAX_WAITING_JOBS or not self._enter_shown(job):
            self._count_dropped(1)
            _LOG.warning("the event log is closed or cannot keep up: an impression was dropped")

    def show_shadow(self, shadow: ShadowList) -> None:
        """Log what nobody saw; it is the first to be dropped."""
        job = _Job(Entries(shadow=shadow), lambda written: None, Future())
        if self.waiting < MAX_WAITING_JOBS // 2:
            self._enter_shown(job)

    @property
    def waiting(self) -> int:
        """Requests and impressions that the disk has yet to take."""
        return self._jobs.qsize() + len(self._shown)

    @property
    def size_bytes(self) -> int:
        """Of the files on the disk; 0 when they are gone."""
        files = (Path(f"{self._path}{ending}") for ending in ("", "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

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

    def _submit(self, entries: Entries, result: Callable[[Written], list[T]]) -> "Future[list[T]]":
        job = _Job(entries, result, Future())
        if not self._enter(job):
            raise NotStoredError(f"{self._path}: the event log is closed; the server is stopping, send it again")
        return job.done

    def _enter(self, job: _Job) -> bool:
        with self._entrance:  # nothing may enter behind the end mark, nobody would answer it
            if self._open:
                self._jobs.put(job)
            return self._open

    def _enter_shown(self, job: _Job) -> bool:
        with self._entrance:
            if self._open:
                if not self._shown:
                    self._jobs.put(_Shown())
                self._shown.append(job)
            return self._open

    def _write(self) -> None:
        is_open = True
        while is_open:
            found = self._next()
            is_open = None not in found
            with self._entrance:
                shown, self._shown = self._shown, []
            # Before the events: one of them may answer it.
            jobs = [*shown, *(job for job in found if isinstance(job, _Job))]
            for start in range(0, len(jobs), MAX_JOBS_PER_COMMIT):
                # From here on a caller cannot cancel any more: a cancelled future takes no result.
                some = jobs[start : start + MAX_JOBS_PER_COMMIT]
                self._commit([job for job in some if job.done.set_running_or_notify_cancel()])
        self._store.close()

    def _next(self) -> list[_Job | _Shown | None]:
        """What waits in the queue, once there is something that cannot wait any longer; the end mark is the last."""
        found = [self._jobs.get()]
        if isinstance(found[0], _Shown):
            try:
                found.append(self._jobs.get(timeout=SHOWN_WITHIN_S))
            except Empty:
                return found
        return found + [self._jobs.get() for _ in range(min(self._jobs.qsize(), MAX_JOBS_PER_COMMIT - 1))]

    def _commit(self, jobs: Sequence[_Job]) -> None:
        if not jobs:
            return
        try:
            written = self._store.write([job.entries for job in jobs], datetime.now(UTC))
        except StoreUnavailableError as error:
            self._refuse(jobs, str(error))
            if not self.failing:
                self._begin_to_fail(str(error))
        except Exception as error:  # whatever it was, the callers must hear of it and the thread must live on
            # Something about the rows of one of them; the others are stored without it.
            if len(jobs) == 1:
                # The kind alone: a message might carry a value of an event.
                kind = type(error).__name__
                self._refuse(jobs, kind)
                _LOG.error("the event log could not take what was sent: %s", kind)
            for job in jobs if len(jobs) > 1 else ():
                self._commit([job])
        else:
            if self.failing:
                self.failing = False
                _LOG.warning("the event log can be written again")
            for job, done in zip(jobs, written, strict=True):
                job.done.set_result(job.result(done))

    def _begin_to_fail(self, why: str) -> None:
        self.failing = True
        _LOG.error("the event log cannot be written: %s; events are refused until it can", why)

    def _count_dropped(self, impressions: int) -> None:
        with self._entrance:
            self.dropped += impressions

    def _refuse(self, jobs: Sequence[_Job], why: str) -> None:
        self._count_dropped(sum(job.entries.shown is not None for job in jobs))
        for job in jobs:
            job.done.set_exception(NotStoredError(f"{self._path}: {why}; nothing was stored, send it again later"))
