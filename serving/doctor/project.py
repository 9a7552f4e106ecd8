"""Checks of what lies in a project's folder beside the models: rules, channels, tables, event log, keys."""

import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from recsys.online_address import SQLITE, resolve
from recsys.retrieval import Channels
from recsys.workspace import Workspace
from serving.doctor.finding import Finding, broken, doubtful, good
from serving.event_tables import FORMAT_VERSION, connect
from serving.keys_file import KeysFile
from serving.local import is_loopback
from serving.open_log import KEY, open_stream
from serving.surfaces import SurfacesFile

ENDS_SOON: Final = timedelta(days=14)
WAIT_FOR_LOG_S: Final = 5.0


def rules_readable(config_path: Path) -> Finding:
    surfaces = SurfacesFile(config_path).read()
    return good("rules", f"surfaces: {', '.join(sorted(surfaces))}" if surfaces else "no surface")


def channels_there(workspace: Workspace) -> Finding:
    return good("channels", ", ".join(Channels.of(workspace.config.retrieval).names))


def tables_there(workspace: Workspace) -> Finding:
    counts, missing = [], []
    for table in ("items", "interactions"):
        path = workspace.table_path(table)
        if path.exists():
            rows = pl.scan_parquet(path).select(pl.len()).collect().item()
            counts.append(f"{rows} {table}")
        else:
            missing.append(table)
    if missing:
        return doubtful(
            "tables",
            f"no {' and no '.join(missing)} in {workspace.root / 'tables'}: it can serve, but not train",
            "run `recsys import`, unless models are trained elsewhere",
        )
    return good("tables", ", ".join(counts))


def log_usable(workspace: Workspace) -> Iterator[Finding]:
    """The file, and the stream of Redis that it follows where [log] store names one."""
    if resolve(workspace.config.log.store, KEY) != SQLITE:
        yield _stream_answers(workspace)
    yield log_writable(workspace.events)


def _stream_answers(workspace: Workspace) -> Finding:
    stream = open_stream(workspace)
    # Here, for it comes with recsys[redis] alone.
    from redis.exceptions import RedisError

    try:
        stream.check()
    except RedisError as error:
        return broken(
            "event log in Redis",
            f"{stream.name} does not answer: {type(error).__name__}",
            "start it, or correct [log] store",
        )
    finally:
        stream.close()
    return good("event log in Redis", f"{stream.name} answers and keeps what it acknowledges")


def log_writable(path: Path) -> Finding:
    """Takes the lock of the log and gives it back; a log that is not there yet is not made."""
    if not path.exists():
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(b"recsys doctor")
        return good("event log", f"{path} is not there yet, and can be made")
    if not os.access(path, os.W_OK):
        return broken("event log", f"{path} cannot be written by this user", "give it to the user that serves")
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=WAIT_FOR_LOG_S)) as log:
            log.execute("BEGIN IMMEDIATE")
            log.rollback()
            (mode,) = log.execute("PRAGMA journal_mode").fetchone()
            missing = _missing_tables(log)
    except sqlite3.Error as error:
        return broken(
            "event log",
            f"{path}: {error}",
            "if it is locked, look for a process that holds it; if it is damaged, put it aside and start anew",
        )
    size = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")) / 1e6
    if mode != "wal":
        return broken("event log", f"{path}: the journal is {mode}, expected wal", "put the file aside and start anew")
    if missing:
        return broken(
            "event log", f"{path} lacks the tables {', '.join(missing)}", "export it, put the file aside and start anew"
        )
    return good("event log", f"{path} can be written; {size:.1f} MB")


def _missing_tables(log: sqlite3.Connection) -> list[str]:
    """Of an older version none: it gets them when a server starts. Raises sqlite3.Error for a newer one."""
    (version,) = log.execute("PRAGMA user_version").fetchone()
    if version > FORMAT_VERSION:
        raise sqlite3.DatabaseError(f"the format is {version}, this recsys writes {FORMAT_VERSION}; update recsys")
    with closing(connect(Path(":memory:"))) as empty:
        return sorted(_tables(empty) - _tables(log)) if version == FORMAT_VERSION else []


def _tables(log: sqlite3.Connection) -> set[str]:
    return {name for (name,) in log.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def keys_usable(path: Path, host: str, now: datetime) -> Finding:
    """host: the address to listen on."""
    keys = KeysFile(path).read()
    valid = [key for key in keys if key.state(now) == "valid"]
    if not keys:
        if is_loopback(host):
            return good("keys", "none; this machine alone may ask, without a key")
        return broken("keys", f"none, and {host} is reached by others", "make one: `recsys keys create --scope rank …`")
    if not valid:
        return broken(
            "keys", f"all {len(keys)} are expired or revoked", "make one: `recsys keys create --scope rank …`"
        )
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o007:
        return doubtful("keys", f"{path} has the mode {mode:04o}, others may read the hashes", f"chmod 600 {path}")
    ending = [key.key_id for key in valid if key.expires_at is not None and key.expires_at - now < ENDS_SOON]
    if ending:
        return doubtful("keys", f"{', '.join(ending)} will expire in less than 14 days", "`recsys keys rotate KEY_ID`")
    return good("keys", f"{len(valid)} valid of {len(keys)}, mode {mode:04o}")
