"""Packed rows in a SQLite file: a table for each project, view and schema.

The file is in WAL mode: any number of threads and processes read while one writes.
"""

import os
import sqlite3
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from features.packed.layout import STAMP_BYTES, RowLayout
from features.packed.places import RowsSchemaError, RowsUnavailableError, Wanted
from features.packed.sqlite_reading import has_no_room, open_still

TIMEOUT_MS = 5000
KEYS_AT_ONCE = 30_000
"""SQLite takes 32,766 parameters a query."""

MAPPED_BYTES = 2**28


class SqliteRows:
    """Those of a file. Safe to use from several threads, and after a fork."""

    def __init__(self, path: Path, *, timeout_ms: int = TIMEOUT_MS) -> None:
        """timeout_ms  how long a write waits for another process that writes"""
        self._path, self._timeout_ms = path, timeout_ms
        # A connection that came over a fork stays with the process that opened it: SQLite wants it untouched.
        self._idle: defaultdict[int, deque[sqlite3.Connection]] = defaultdict(deque)

    def read(self, wanted: Sequence[Wanted]) -> list[list[bytes | None]]:
        """One query a view, also on a full disk. Raises RowsSchemaError when no place was made in this file for one of
        them."""
        with self._reading() as connection:
            return [self._read(connection, layout, keys) for layout, keys in wanted]

    def write(self, layout: RowLayout, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """One transaction. Raises RowsUnavailableError when another process writes longer than timeout_ms."""
        table = _table(layout.project, layout.view, layout.id)
        with self._transaction() as connection:
            connection.execute(_creation(table))
            connection.executemany(
                f"INSERT INTO {table} AS old VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value "
                f"WHERE substr(excluded.value, 1, {STAMP_BYTES}) >= substr(old.value, 1, {STAMP_BYTES})",
                rows,
            )

    def create(self, layout: RowLayout) -> None:
        """Make a table of the view's schema, unless there is one."""
        with self._transaction() as connection:
            connection.execute(_creation(_table(layout.project, layout.view, layout.id)))

    def delete(self, project: str, view: str) -> None:
        """Drop the view's tables, of whatever schema."""
        with self._transaction() as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in names:
                of, _, schema = name.rpartition(":")
                if of == f"{project}:{view}":
                    connection.execute(f"DROP TABLE {_table(project, view, schema)}")

    def all_keys(self, project: str) -> Iterator[bytes]:
        """A scan over every table."""
        with self._connection() as connection:
            for table in _tables(connection, project):
                for (key,) in connection.execute(f"SELECT key FROM {table}"):
                    yield key

    def delete_keys(self, project: str, keys: Sequence[bytes]) -> int:
        """One transaction; what was in the rows is overwritten."""
        with self._transaction(overwriting=True) as connection:
            return sum(
                connection.executemany(f"DELETE FROM {table} WHERE key = ?", [(key,) for key in keys]).rowcount
                for table in _tables(connection, project)
                if keys
            )

    def overwrite_deleted(self) -> None:
        """Write the file anew: rows that were moved in it leave copies behind that no deletion finds.

        Raises RowsUnavailableError when others do not let go of the file within timeout_ms.
        """
        with self._connection() as connection:
            try:
                connection.execute("VACUUM")
                (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.OperationalError as error:
                raise RowsUnavailableError(f"{self._path}: {error}; try again") from error
        if busy:
            raise RowsUnavailableError(f"{self._path}: others read the file all the time; try again")

    def close(self) -> None:
        """Close the idle connections; the last one to close leaves everything in the file itself."""
        idle = self._idle[os.getpid()]
        while idle:
            idle.pop().close()

    @contextmanager
    def _transaction(self, *, overwriting: bool = False) -> Iterator[sqlite3.Connection]:
        """overwriting: what is deleted in it is gone from the file, too"""
        with self._connection() as connection:
            connection.execute(f"PRAGMA secure_delete = {int(overwriting)}")
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise RowsUnavailableError(
                    f"{self._path}: cannot begin to write within {self._timeout_ms} ms: {error}; "
                    "write again, or raise timeout_ms of the online store"
                ) from error
            with connection:
                yield connection

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection, and on a disk without room for one that could write, another that is for this time alone."""
        idle, still = self._idle[os.getpid()], None
        if not idle:
            try:
                idle.append(self._connect())
            except sqlite3.OperationalError as error:
                if not has_no_room(error) or (still := open_still(self._path, error)) is None:
                    raise
        if still is None:
            with self._connection() as connection:
                yield connection
        else:
            with closing(still.connection):
                yield still.connection

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        idle = self._idle[os.getpid()]
        try:
            connection = idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        finally:
            idle.append(connection)

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        timeout_s = self._timeout_ms / 1000
        connection = sqlite3.connect(self._path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except BaseException:
            connection.close()
            raise
        # Safe with WAL: a power cut may take the last transactions, never the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
        return connection

    def _read(self, connection: sqlite3.Connection, layout: RowLayout, keys: Sequence[bytes]) -> list[bytes | None]:
        found: dict[bytes, bytes] = {}
        table = _table(layout.project, layout.view, layout.id)
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = keys[start : start + KEYS_AT_ONCE]
            try:
                found.update(connection.execute(f"SELECT key, value FROM {table} WHERE key IN ({_marks(some)})", some))
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
                raise RowsSchemaError(
                    f"{self._path}: no table for the view {layout.view} with its present schema; "
                    "run `feast apply` with this online store"
                ) from error
        return [found.get(key) for key in keys]


def _tables(connection: sqlite3.Connection, project: str) -> list[str]:
    """Those of every view and schema, as they stand in a statement."""
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    parts = [name.rpartition(":") for name in names if name.startswith(f"{project}:")]
    return [_table(project, of.removeprefix(f"{project}:"), schema) for of, _, schema in parts]


def _marks(parameters: Sequence[bytes]) -> str:
    return ",".join("?" * len(parameters))


def _table(project: str, view: str, schema: str) -> str:
    name = f"{project}:{view}:{schema}".replace('"', '""')
    return f'"{name}"'


def _creation(table: str) -> str:
    return f"CREATE TABLE IF NOT EXISTS {table} (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
