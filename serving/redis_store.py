"""An event log in Redis, for servers on several machines, and a file beside each of them that follows it.

Redis has what is acknowledged. Whoever reads the log, for features, audits or an export, reads the file, which a thread
keeps up to date; when it is lost it is made anew from the stream.

Reads and writes  the stream of [log] store (serving.redis_stream)
Writes            events.db
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Final

from redis.exceptions import RedisError

from recsys.errors import DataError, RecsysError
from serving.log_file import FILE_ERRORS, LogFile
from serving.log_rows import Acknowledged
from serving.log_store import Entries, StoreUnavailableError, Written
from serving.moments import microseconds
from serving.numbering import NUMBERED, last_sequence
from serving.redis_stream import RedisStream
from serving.stream_rows import add_entries, join_stream, rows_of
from serving.stream_table import last_entry

FOLLOW_TIMEOUT_S: Final = 1.0
"""So long an answer waits for the file, so that the next ranking knows of the event. It is on the disk of Redis."""

RETRY_S: Final = 0.5

Entry = tuple[bytes, Mapping[bytes, bytes]]
Forgetter = Callable[[Sequence[Entry]], Callable[[], None]]
"""Notes whom entries say to forget, and returns what forgets them (serving.forgetting.stream)."""

_LOG: Final = logging.getLogger(__name__)


class RedisStore:
    """Stores entries in the stream."""

    def __init__(self, open_stream: Callable[[], RedisStream], path: Path, forgetter: Forgetter) -> None:
        """Raises DataError when Redis does not answer or keeps nothing, or the file is that of another log."""
        self._stream = open_stream()
        try:
            self._stream.check()
            stream_id, last = self._stream.id(), self._stream.last()
        except RedisError as error:
            raise DataError(
                f"{self._stream.name}: {type(error).__name__}; the Redis of [log] store must answer at the start"
            ) from error
        self._follower = _Follower(open_stream(), path, stream_id, last, forgetter)

    def write(self, groups: Sequence[Entries], received_at: datetime) -> list[Written]:
        received = microseconds(received_at)
        rows = [rows_of(entries, received) for entries in groups]
        try:
            given = iter(self._stream.append([row for group in rows for row in group]) if any(rows) else ())
        except RedisError as error:
            raise StoreUnavailableError(f"{self._stream.name}: {type(error).__name__}") from error
        written, last = [], dict.fromkeys(NUMBERED, 0)
        for group in rows:
            done = Written([], [], [])
            for row in group:
                sequence = next(given)
                if row.table in last:
                    last[row.table] = max(last[row.table], sequence)
                if row.table == "interactions":
                    done.interactions.append(Acknowledged(row.key, duplicate=sequence == 0))
                elif row.table == "items":
                    done.items.append(sequence)
                elif row.table == "users":
                    done.users.append(sequence)
            written.append(done)
        self._follower.wait_for(last)
        return written

    def close(self) -> None:
        self._follower.close()
        self._stream.close()


class _Follower:
    """A thread that brings what comes into the stream into the file."""

    def __init__(
        self, stream: RedisStream, path: Path, stream_id: str, last: Mapping[str, int], forgetter: Forgetter
    ) -> None:
        self._forgetter = forgetter
        self._stream, self._path, self._stream_id = stream, path, stream_id
        self._file = LogFile(path)
        self._given = dict(last)
        self._there: Mapping[str, int] = {}
        self._moved, self._stop = Condition(), Event()
        try:
            self._last = self._file.write(self._joined)
        except FILE_ERRORS:
            self._file.close()
            raise
        self._thread = Thread(target=self._follow, name="event-log-follower", daemon=True)
        self._thread.start()

    def wait_for(self, last: Mapping[str, int]) -> None:
        """Until the file has these rows, for a moment: what is not there yet will be."""
        with self._moved:
            self._moved.wait_for(
                lambda: all(self._there.get(table, 0) >= sequence for table, sequence in last.items()), FOLLOW_TIMEOUT_S
            )

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._stream.close()
        self._file.close()

    def _follow(self) -> None:
        failing = False
        while not self._stop.is_set():
            try:
                entries = self._stream.after(self._last)
                if entries:
                    # Noted before the file is beyond these entries, and done when it has what came before them.
                    forget = self._forgetter(entries)
                    self._last, there = self._file.write(partial(self._add, entries))
                    forget()
                    with self._moved:
                        self._there = there
                        self._moved.notify_all()
                failing = False
            except (RedisError, RecsysError, *FILE_ERRORS) as error:
                if not failing:
                    failing = True
                    _LOG.error("%s does not follow %s: %s", self._path, self._stream.name, type(error).__name__)
                time.sleep(RETRY_S)

    def _joined(self, connection: sqlite3.Connection) -> str:
        join_stream(connection, self._path, self._stream_id, self._given)
        return last_entry(connection)

    def _add(self, entries: Sequence[Entry], connection: sqlite3.Connection) -> tuple[str, Mapping[str, int]]:
        last = self._joined(connection)
        # Another process on this file was faster, or the file is a new one: on from where it is.
        if last == self._last:
            last = add_entries(connection, entries)
        return last, {table: last_sequence(connection, table) for table in NUMBERED}
