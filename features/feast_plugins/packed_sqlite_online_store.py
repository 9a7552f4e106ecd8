"""Packed rows in a SQLite file: a table for each view and schema.

    online_store:
      type: features.feast_plugins.packed_sqlite_online_store.PackedSqliteOnlineStore
      path: data/online.db

The file is in WAL mode: any number of threads and processes read while one writes.
"""

import os
import sqlite3
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from feast import RepoConfig
from feast.repo_config import FeastConfigBaseModel
from pydantic import PositiveInt, StrictStr

from features.feast_plugins.packed_online_store import (
    OnlineStoreSchemaError,
    OnlineStoreUnavailableError,
    PackedOnlineStore,
    Wanted,
)
from features.feast_plugins.packed_row import STAMP_BYTES, RowLayout
from features.feast_plugins.sqlite_reading import has_no_room, open_still

KEYS_AT_ONCE = 30_000
"""SQLite takes 32,766 parameters a query."""

MAPPED_BYTES = 2**28


class PackedSqliteOnlineStoreConfig(FeastConfigBaseModel):
    """The section `online_store` of feature_store.yaml."""

    type: StrictStr = "features.feast_plugins.packed_sqlite_online_store.PackedSqliteOnlineStore"

    path: StrictStr = "data/online.db"
    """Of the file; relative to the feature repository."""

    timeout_ms: PositiveInt = 5000
    """How long a write waits for another process that writes."""


class PackedSqliteOnlineStore(PackedOnlineStore):
    """Rows in a SQLite file. Safe to use from several threads, and after a fork."""

    def __init__(self) -> None:
        super().__init__()
        # A connection that came over a fork stays with the process that opened it: SQLite wants it untouched.
        self._idle: defaultdict[tuple[int, Path], deque[sqlite3.Connection]] = defaultdict(deque)

    def read_rows(self, config: RepoConfig, wanted: Sequence[Wanted]) -> list[list[bytes | None]]:
        """One query a view, also on a full disk. Raises OnlineStoreSchemaError when a view was not applied to this
        file."""
        with self._reading(config) as connection:
            return [_read(connection, config, layout, keys) for layout, keys in wanted]

    def write_rows(self, config: RepoConfig, layout: RowLayout, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """One transaction. Raises OnlineStoreUnavailableError when another process writes longer than timeout_ms."""
        table = _table(config.project, layout.view, layout.id)
        with self._transaction(config) as connection:
            connection.execute(_creation(table))
            connection.executemany(
                f"INSERT INTO {table} AS old VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value "
                f"WHERE substr(excluded.value, 1, {STAMP_BYTES}) >= substr(old.value, 1, {STAMP_BYTES})",
                rows,
            )

    def create(self, config: RepoConfig, layout: RowLayout) -> None:
        """Make a table of the view's schema, unless there is one."""
        with self._transaction(config) as connection:
            connection.execute(_creation(_table(config.project, layout.view, layout.id)))

    def delete(self, config: RepoConfig, view: str) -> None:
        """Drop the view's tables, of whatever schema."""
        with self._transaction(config) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in names:
                of, _, schema = name.rpartition(":")
                if of == f"{config.project}:{view}":
                    connection.execute(f"DROP TABLE {_table(config.project, view, schema)}")

    def all_keys(self, config: RepoConfig) -> Iterator[bytes]:
        """A scan over every table."""
        with self._connection(config) as connection:
            for table in _tables(connection, config.project):
                for (key,) in connection.execute(f"SELECT key FROM {table}"):
                    yield key

    def delete_keys(self, config: RepoConfig, keys: Sequence[bytes]) -> int:
        """One transaction; what was in the rows is overwritten."""
        with self._transaction(config, overwriting=True) as connection:
            return sum(
                connection.executemany(f"DELETE FROM {table} WHERE key = ?", [(key,) for key in keys]).rowcount
                for table in _tables(connection, config.project)
                if keys
            )

    def overwrite_deleted(self, config: RepoConfig) -> None:
        """Write the file anew: rows that were moved in it leave copies behind that no deletion finds.

        Raises OnlineStoreUnavailableError when others do not let go of the file within timeout_ms.
        """
        with self._connection(config) as connection:
            try:
                connection.execute("VACUUM")
                (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.OperationalError as error:
                raise OnlineStoreUnavailableError(f"{_path(config)}: {error}; try again") from error
        if busy:
            raise OnlineStoreUnavailableError(f"{_path(config)}: others read the file all the time; try again")

    def disconnect(self) -> None:
        """Close the idle connections; the last one to close leaves everything in the file itself."""
        for (process, _), idle in self._idle.items():
            while process == os.getpid() and idle:
                idle.pop().close()

    @contextmanager
    def _transaction(self, config: RepoConfig, *, overwriting: bool = False) -> Iterator[sqlite3.Connection]:
        """overwriting: what is deleted in it is gone from the file, too"""
        with self._connection(config) as connection:
            connection.execute(f"PRAGMA secure_delete = {int(overwriting)}")
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise OnlineStoreUnavailableError(
                    f"{_path(config)}: cannot begin to write within {config.online_store.timeout_ms} ms: {error}; "
                    "write again, or raise timeout_ms of the online store"
                ) from error
            with connection:
                yield connection

    @contextmanager
    def _reading(self, config: RepoConfig) -> Iterator[sqlite3.Connection]:
        """A connection, and on a disk without room for one that could write, another that is for this time alone."""
        idle = self._idle[os.getpid(), _path(config)]
        still = None
        if not idle:
            try:
                idle.append(_connect(_path(config), timeout_s=config.online_store.timeout_ms / 1000))
            except sqlite3.OperationalError as error:
                if not has_no_room(error) or (still := open_still(_path(config), error)) is None:
                    raise
        if still is None:
            with self._connection(config) as connection:
                yield connection
        else:
            with closing(still.connection):
                yield still.connection

    @contextmanager
    def _connection(self, config: RepoConfig) -> Iterator[sqlite3.Connection]:
        path = _path(config)
        idle = self._idle[os.getpid(), path]
        try:
            connection = idle.pop()
        except IndexError:
            connection = _connect(path, timeout_s=config.online_store.timeout_ms / 1000)
        try:
            yield connection
        finally:
            idle.append(connection)


def _connect(path: Path, *, timeout_s: float) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except BaseException:
        connection.close()
        raise
    # Safe with WAL: a power cut may take the last transactions, never the file.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
    return connection


def _read(
    connection: sqlite3.Connection, config: RepoConfig, layout: RowLayout, keys: Sequence[bytes]
) -> list[bytes | None]:
    found: dict[bytes, bytes] = {}
    table = _table(config.project, layout.view, layout.id)
    for start in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[start : start + KEYS_AT_ONCE]
        try:
            found.update(connection.execute(f"SELECT key, value FROM {table} WHERE key IN ({_marks(some)})", some))
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            raise OnlineStoreSchemaError(
                f"{_path(config)}: no table for the view {layout.view} with its present schema; "
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


def _path(config: RepoConfig) -> Path:
    # An absolute path stays as it is.
    return Path(config.repo_path or "", config.online_store.path)


def _table(project: str, view: str, schema: str) -> str:
    name = f"{project}:{view}:{schema}".replace('"', '""')
    return f'"{name}"'


def _creation(table: str) -> str:
    return f"CREATE TABLE IF NOT EXISTS {table} (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
