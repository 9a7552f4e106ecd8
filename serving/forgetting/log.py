"""Delete all rows of users from the file of the event log, while its writers and readers go on.

Writes  events.db (tables: serving.event_tables)
"""

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final

from recsys.errors import DataError
from recsys.forgetting.who import Who
from recsys.schema import REQUEST_ID, TIMESTAMP, USER_ID
from serving.event_tables import connect
from serving.moments import microseconds
from serving.numbering import NUMBERED
from serving.retention import delete_rows, keep_numbers
from serving.shadow_table import SHADOWS

OF_USERS: Final = {"interactions": "received_at", "impressions": TIMESTAMP, "users": "received_at"}
"""Table with a user in each row → the column that says when it came."""

OF_REQUESTS: Final = ("features", SHADOWS)
"""Those that say more of an impression, by its request_id."""

OVERWRITE_TIMEOUT_S: Final = 60.0
"""How long those who read the file all the time may keep it from being written anew."""


def forget_in_log(path: Path, who: Who, *, thoroughly: bool) -> dict[str, int]:
    """Delete the rows of these users, overwriting them; returns how many of each table.

    thoroughly  write the file anew, for rows that were moved in it leave copies behind that no deletion finds; those
                who write wait meanwhile, about as long as copying the file takes

    Raises DataError when the log cannot be written.
    """
    if not path.exists():
        return {}
    try:
        with closing(connect(path)) as log:
            # Zeros in the place of what is deleted.
            log.execute("PRAGMA secure_delete = ON")
            keep_numbers(log, NUMBERED)
            removed = _deleted(log, who)
            if thoroughly:
                log.execute("VACUUM")
            if thoroughly or any(removed.values()):
                _empty_wal(log, path)
    except sqlite3.Error as error:
        # The kind of error alone: a message might carry a value of a row.
        kind = getattr(error, "sqlite_errorname", None) or type(error).__name__
        raise DataError(f"{path}: {kind}; run `recsys forget --pending` when it can be written") from error
    return removed


def _deleted(log: sqlite3.Connection, who: Who) -> dict[str, int]:
    removed = dict.fromkeys((*OF_USERS, *OF_REQUESTS), 0)
    users = {user: microseconds(at) for user, at in _users(log, who).items()}
    # What hangs on an impression first: without it nothing would say whose it is.
    shown = f"SELECT {REQUEST_ID} FROM impressions WHERE {USER_ID} = ? AND {OF_USERS['impressions']} < ?"
    for bounds in users.items():
        requests = [request for (request,) in log.execute(shown, bounds)]
        for table in OF_REQUESTS:
            keys = [
                key
                for request in requests
                for (key,) in log.execute(f"SELECT rowid FROM {table} WHERE {REQUEST_ID} = ?", (request,))
            ]
            removed[table] += delete_rows(log, table, "rowid", keys)
    for table, came in OF_USERS.items():
        theirs = f"SELECT sequence FROM {table} WHERE {USER_ID} = ? AND {came} < ?"
        for bounds in users.items():
            keys = [key for (key,) in log.execute(theirs, bounds)]
            removed[table] += delete_rows(log, table, "sequence", keys)
    return removed


def _users(log: sqlite3.Connection, who: Who) -> Mapping[str, datetime]:
    if who.ids is not None:
        return who.ids
    union = " UNION ".join(f"SELECT {USER_ID} FROM {table}" for table in OF_USERS)
    return who.among(user for (user,) in log.execute(union))


def _empty_wal(log: sqlite3.Connection, path: Path) -> None:
    """What was written last goes into the file itself: until then that has the old rows, and so may the file beside it.

    Raises DataError.
    """
    deadline = time.monotonic() + OVERWRITE_TIMEOUT_S
    while log.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > deadline:
            raise DataError(
                f"{path}: others read the event log all the time, so that deleted rows cannot be overwritten; "
                "run `recsys forget --pending` when fewer do"
            )
        time.sleep(0.05)
