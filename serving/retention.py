"""Delete from the event log what was exported and is old, in small steps between which its writers have their turn.

Writes  events.db
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from recsys.schema import ITEM_ID, REQUEST_ID, TIMESTAMP, USER_ID
from serving.moments import microseconds
from serving.numbering import continue_after, last_sequence, log_id
from serving.shadow_table import OLD_SHADOWS, SHADOWS

ROWS_A_STEP: Final = 1_000
PAGES_A_STEP: Final = 500
"""Of 4 KiB, that are given back to the disk in one step."""

SHORTEST_PAUSE_S: Final = 0.03
"""Between two steps: a writer that waits looks again after at most 25 ms at first."""

# The first row that is not old ends the search: what is behind it was received later.
_FIRST_TO_KEEP: Final = {
    "interactions": "SELECT sequence FROM interactions WHERE received_at >= ? ORDER BY sequence LIMIT 1",
    "impressions": f"SELECT sequence FROM impressions WHERE {TIMESTAMP} >= ? ORDER BY sequence LIMIT 1",
}
_OLD: Final = {
    table: f"SELECT sequence FROM {table} WHERE sequence < ? ORDER BY sequence LIMIT ?" for table in _FIRST_TO_KEEP
}
# An answer that is younger was made from what the snapshot lacks, and the log has to tell that for the audit.
_OLD_FEATURES: Final = f"""
    SELECT features.rowid FROM features LEFT JOIN impressions USING ({REQUEST_ID})
    WHERE (as_of < ? OR written_at < ?) AND (sequence IS NULL OR sequence <= ?)"""
# The latest version is what a server starts from, and one that was the latest then is what an audit needs.
_SUPERSEDED: Final = {
    table: f"""
    SELECT sequence FROM {table} AS old WHERE sequence <= ? AND EXISTS (
        SELECT 1 FROM {table} AS newer
        WHERE newer.{key} = old.{key} AND newer.sequence > old.sequence AND newer.received_at < ?)"""
    for table, key in (("items", ITEM_ID), ("users", USER_ID))
}


def forget(log: sqlite3.Connection, exported: Mapping[str, int], before: datetime) -> int:
    """Delete rows up to those sequences that were received before a moment; returns how many.

    Of an item and of a user the latest version stays for ever, for the bundle may not have it. Readers that follow the
    log are behind what is deleted, and numbers are not given again.
    """
    moment, gone = microseconds(before), 0
    keep_numbers(log, exported)
    bounds = moment, moment, exported["impressions"]
    gone += delete_rows(log, "features", "rowid", [key for (key,) in log.execute(_OLD_FEATURES, bounds)])
    gone += delete_rows(log, SHADOWS, "rowid", [key for (key,) in log.execute(OLD_SHADOWS, (moment,))])
    for table in _FIRST_TO_KEEP:
        for keys in _oldest(log, table, exported.get(table, 0), moment):
            gone += delete_rows(log, table, "sequence", keys)
    for table, superseded in _SUPERSEDED.items():
        keys = [key for (key,) in log.execute(superseded, (exported.get(table, 0), moment))]
        gone += delete_rows(log, table, "sequence", keys)
    if gone:
        _give_back(log)
    return gone


def _oldest(log: sqlite3.Connection, table: str, exported: int, moment: int) -> Iterator[list[int]]:
    """The sequences of old rows, some at a time; each is gone before the next ones are looked for."""
    kept = log.execute(_FIRST_TO_KEEP[table], (moment,)).fetchone()
    end = exported + 1 if kept is None else min(exported + 1, kept[0])
    while keys := [key for (key,) in log.execute(_OLD[table], (end, ROWS_A_STEP))]:
        yield keys


def keep_numbers(log: sqlite3.Connection, tables: Iterable[str]) -> None:
    """Have no number of these tables given again when the latest rows are deleted."""
    step(log, lambda: continue_after(log, log_id(log), {table: last_sequence(log, table) for table in tables}))


def delete_rows(log: sqlite3.Connection, table: str, key: str, keys: Sequence[int]) -> int:
    """Delete rows by their keys, some at a time; returns how many keys."""
    for start in range(0, len(keys), ROWS_A_STEP):
        some = [(each,) for each in keys[start : start + ROWS_A_STEP]]
        step(log, partial(log.executemany, f"DELETE FROM {table} WHERE {key} = ?", some))
    return len(keys)


def _give_back(log: sqlite3.Connection) -> None:
    """Free pages go back to the disk. A log of an earlier version keeps them, and fills them again."""
    pages = -1
    while pages != (pages := log.execute("PRAGMA freelist_count").fetchone()[0]) and pages > 0:
        # `execute` would end it after one page.
        log.executescript(f"PRAGMA incremental_vacuum({PAGES_A_STEP})")
        time.sleep(SHORTEST_PAUSE_S)
    log.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def step(log: sqlite3.Connection, work: Callable[[], object]) -> None:
    """A transaction, and a pause in which those that wait for it come first."""
    started = time.monotonic()
    log.execute("BEGIN IMMEDIATE")
    try:
        work()
        log.execute("COMMIT")
    except BaseException:
        log.rollback()
        raise
    time.sleep(max(SHORTEST_PAUSE_S, time.monotonic() - started))
