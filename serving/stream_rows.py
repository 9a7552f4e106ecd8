"""Rows of the event log as entries of a Redis stream, and their way into the tables of a file beside each server.

Redis numbers the rows of each table, so that every server has each row under the same sequence.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from recsys.errors import DataError
from serving.feature_table import feature_row, insert_features
from serving.item_table import insert_item, item_row
from serving.log_rows import impression_row, insert_impression, insert_interactions, interaction_row
from serving.log_store import Entries
from serving.numbering import continue_after, log_id
from serving.shadow_table import SHADOWS, insert_shadow, shadow_row
from serving.stream_table import BEGINNING, last_entry
from serving.user_table import insert_user, user_row

_ANY_ROW: Final = """
    SELECT EXISTS (SELECT 1 FROM interactions) + EXISTS (SELECT 1 FROM impressions) + EXISTS (SELECT 1 FROM items)
        + EXISTS (SELECT 1 FROM users)"""


FORGOTTEN: Final = "forgotten"
"""Of entries that say whom to forget (serving.forgetting.stream); they are no row."""


class StreamRow(NamedTuple):
    """A row on its way to Redis.

    table   interactions, impressions, items, users, shadows or forgotten
    key     what it must not share with another row of the table; empty: nothing
    values  the row behind its sequence, and for an impression the row of its features or nothing, as MessagePack
    """

    table: str
    key: str
    values: bytes


def rows_of(entries: Entries, received_at: int) -> list[StreamRow]:
    """The rows of a request. received_at: microseconds since 1970."""
    rows = [StreamRow("items", "", _packed(item_row(item, received_at), None)) for item in entries.items]
    rows += [StreamRow("users", "", _packed(user_row(user, received_at), None)) for user in entries.users]
    if entries.shown is not None:
        request_id, features = entries.shown.request_id, entries.features
        of_features = None if features is None else feature_row(request_id, features)
        rows.append(StreamRow("impressions", request_id, _packed(impression_row(entries.shown), of_features)))
    if entries.shadow is not None:
        rows.append(StreamRow(SHADOWS, "", _packed(shadow_row(entries.shadow), None)))
    for event in entries.interactions:
        row = interaction_row(event, received_at)
        rows.append(StreamRow("interactions", row[0], _packed(row, None)))
    return rows


def join_stream(connection: sqlite3.Connection, path: object, stream_id: str, last: Mapping[str, int]) -> None:
    """Make an empty log one of this stream. Inside a transaction.

    last  table → the last sequence that Redis gave

    Raises DataError when the log has rows of another one.
    """
    if log_id(connection) == stream_id:
        return
    (rows,) = connection.execute(_ANY_ROW).fetchone()
    if rows or last_entry(connection) != BEGINNING:
        raise DataError(
            f"{path}: the event log has rows that are not from the Redis of [log] store; export them with the store "
            "that they came from, then move the file away"
        )
    connection.execute("UPDATE numbering SET log_id = ?", (stream_id,))
    continue_after(connection, stream_id, last)


def add_entries(connection: sqlite3.Connection, entries: Iterable[tuple[bytes, Mapping[bytes, bytes]]]) -> str:
    """Add the entries of a stream, in its order; returns the id of the last one. Inside a transaction."""
    interactions = []
    last = BEGINNING
    for entry_id, fields in entries:
        last = entry_id.decode()
        table, sequence = fields[b"table"].decode(), int(fields[b"sequence"])
        row, of_features = msgspec.msgpack.decode(fields[b"row"])
        if table == "interactions":
            interactions.append((sequence, *row))
        elif table == "items":
            insert_item(connection, sequence, row)
        elif table == "users":
            insert_user(connection, sequence, row)
        elif table == SHADOWS:
            insert_shadow(connection, row)
        elif table != FORGOTTEN:
            insert_impression(connection, sequence, row)
            if of_features is not None:
                insert_features(connection, of_features)
    if interactions:
        insert_interactions(connection, interactions)
    connection.execute("UPDATE stream SET last_id = ?", (last,))
    return last


def _packed(row: tuple[Any, ...], of_features: tuple[Any, ...] | None) -> bytes:
    return msgspec.msgpack.encode((row, of_features))
