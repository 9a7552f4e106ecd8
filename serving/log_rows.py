"""Add rows to the tables of the event log. Each function runs inside a transaction of its caller."""

import sqlite3
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from recsys.schema import (
    EVENT_ID,
    EVENT_TYPE,
    EXPERIMENT,
    ITEM_ID,
    PROPENSITIES,
    QUERY,
    REQUEST_ID,
    TEAMS,
    TIMESTAMP,
    USER_ID,
    VALUE,
    VARIANT,
)
from serving.moments import microseconds
from serving.numbering import last_sequence
from serving.types import Impression, Interaction

_ADD_INTERACTION: Final = f"""
    INSERT INTO interactions
        (sequence, {EVENT_ID}, {USER_ID}, {ITEM_ID}, {EVENT_TYPE}, {TIMESTAMP}, {REQUEST_ID}, {VALUE}, received_at,
        {QUERY})
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT ({EVENT_ID}) DO NOTHING"""
_ADDED: Final = "SELECT sequence FROM interactions WHERE sequence > ?"
_ADD_IMPRESSION: Final = f"""
    INSERT INTO impressions
        (sequence, {REQUEST_ID}, {USER_ID}, {TIMESTAMP}, items, surface, bundle, {QUERY}, {PROPENSITIES},
        {EXPERIMENT}, {VARIANT}, {TEAMS})
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT ({REQUEST_ID}) DO NOTHING"""


class Acknowledged(NamedTuple):
    """This event is on the disk; as a duplicate it was there before."""

    event_id: str
    duplicate: bool


Row = tuple[Any, ...]
"""The values of a row behind its sequence, in the order of the columns."""


def interaction_row(event: Interaction, received_at: int) -> Row:
    """A row of interactions; an event without id gets a new one, and one without time happened when it was received.

    received_at  microseconds since 1970
    """
    return (
        event.event_id or uuid.uuid4().hex,
        event.user_id,
        event.item_id,
        event.event_type,
        received_at if event.timestamp is None else microseconds(event.timestamp),
        event.request_id,
        event.value,
        received_at,
        event.query,
    )


def impression_row(shown: Impression) -> Row:
    """A row of impressions."""
    part = shown.experiment
    return (
        shown.request_id,
        shown.user_id,
        microseconds(shown.timestamp),
        msgspec.json.encode(shown.items).decode(),
        shown.surface,
        shown.bundle,
        shown.query,
        None if shown.propensities is None else msgspec.json.encode(shown.propensities).decode(),
        None if part is None else part.name,
        None if part is None else part.variant,
        None if shown.teams is None else msgspec.json.encode(shown.teams).decode(),
    )


def insert_interactions(connection: sqlite3.Connection, numbered: Sequence[Row]) -> int:
    """Add rows, the sequence before each, whose event_id is not there; returns how many."""
    return connection.executemany(_ADD_INTERACTION, numbered).rowcount


def insert_impression(connection: sqlite3.Connection, sequence: int, row: Row) -> None:
    """Add a row whose request_id is not there."""
    connection.execute(_ADD_IMPRESSION, (sequence, *row))


def add_interactions(
    connection: sqlite3.Connection, events: Sequence[Interaction], received_at: datetime
) -> list[Acknowledged]:
    """Add those whose event_id is not there."""
    last, received = last_sequence(connection, "interactions"), microseconds(received_at)
    rows = [(sequence, *interaction_row(event, received)) for sequence, event in enumerate(events, start=last + 1)]
    if insert_interactions(connection, rows) == len(rows):
        return [Acknowledged(row[1], duplicate=False) for row in rows]
    added = {sequence for (sequence,) in connection.execute(_ADDED, (last,))}
    return [Acknowledged(row[1], duplicate=row[0] not in added) for row in rows]


def add_impression(connection: sqlite3.Connection, shown: Impression) -> None:
    """Add what an answer showed, once for each request_id."""
    insert_impression(connection, last_sequence(connection, "impressions") + 1, impression_row(shown))
