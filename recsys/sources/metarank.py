"""The events of Metarank as they are logged for it, or published in RankLens: JSON lines, plain or with gzip.

Reads   events.jsonl, or a folder of such files, in the order of their names
Yields  items (event "item"), users ("user"), impressions ("ranking"), interactions ("interaction")

A field of an event is a column under its own name; [columns] of recsys.toml says which of them is what. A line that is
no event at all is refused with the interactions.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from recsys.parsing import read_time
from recsys.schema import (
    EVENT_ID,
    EVENT_TYPE,
    ITEM_ID,
    ITEMS,
    REQUEST_ID,
    TABLES,
    TIMESTAMP,
    UPDATED_AT,
    USER_ID,
)
from recsys.sources import BrokenLine, Chunk
from recsys.sources.files import find_files
from recsys.sources.jsonlines import JSON_ENDINGS, Objects, column_of, encode, read_objects
from recsys.sources.latest import Latest

TABLE_OF = {"item": "items", "user": "users", "ranking": "impressions", "interaction": "interactions"}
AGAIN = {"items": "tells nothing new of the item", "users": "told of the user before"}
MOMENT = timedelta(microseconds=1)
Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """Rows of one table with the line of each, and the lines that are no event of it though they should be."""

    values: list[Row]
    lines: list[int]
    broken: list[BrokenLine]


@dataclass(frozen=True)
class Metarank:
    """The events at one path."""

    path: Path

    def tables(self) -> tuple[str, ...]:
        return tuple(table for table in TABLES if table in self._present)

    def size(self, table: str) -> int:
        return sum(file.stat().st_size for file in find_files(self.path, JSON_ENDINGS))

    def chunks(self, table: str) -> Iterator[Chunk]:
        known = Latest()
        file = self.path
        for file in find_files(self.path, JSON_ENDINGS):
            for part in read_objects(file):
                rows, again = _rows(part, table), 0
                if table == "items":
                    rows, again = _versions(rows, known)
                elif table == "users":
                    rows, again = _remembered(rows, known)
                yield _chunk(file, rows, again, table, part.size)
        if table == "users":
            # Only now is it known what was told of each of them last.
            users = [{**fields, USER_ID: user} for user, fields in known.fields.items()]
            yield _chunk(file, Rows(users, [known.lines[user] for user in known.fields], []), 0, table, 0)

    @cached_property
    def _present(self) -> set[str]:
        """The tables that the log has events of; the interactions take the broken lines and are always there."""
        found = {"interactions"}
        for file in find_files(self.path, JSON_ENDINGS):
            for part in read_objects(file):
                found |= {TABLE_OF[kind] for kind in map(_kind, part.values) if kind is not None}
                if len(found) == len(TABLES):
                    return found
        return found


def _kind(event: Row) -> str | None:
    kind = event.get("event")
    return kind if isinstance(kind, str) and kind in TABLE_OF else None


def _rows(part: Objects, table: str) -> Rows:
    found = Rows([], [], list(part.broken) if table == "interactions" else [])
    for line, event in zip(part.lines, part.values, strict=True):
        kind = _kind(event)
        if TABLE_OF.get(kind or "interaction") != table:
            continue
        try:
            found.values.append(_row(kind, event))
            found.lines.append(line)
        except ValueError as error:
            found.broken.append(BrokenLine(line, str(error), encode(event)))
    found.broken.sort(key=lambda line: line.line)
    return found


def _row(kind: str | None, event: Row) -> Row:
    """The columns of an event; its fields stand behind what Metarank itself names. ValueError: why it is none."""
    fields = _fields(event.get("fields") or [])
    # Metarank does without a user where there is a session.
    user = event.get("user") or event.get("session")
    at = event.get("timestamp")
    match kind:
        case "item":
            if at is None:
                raise ValueError("missing timestamp")
            return {**fields, ITEM_ID: event.get("item"), UPDATED_AT: at}
        case "user":
            return {**fields, USER_ID: event.get("user")}
        case "ranking":
            shown = _shown(event.get("items"))
            return {**fields, REQUEST_ID: event.get("id"), USER_ID: user, TIMESTAMP: at, ITEMS: shown}
        case "interaction":
            named = {EVENT_ID: event.get("id"), REQUEST_ID: event.get("ranking"), EVENT_TYPE: event.get("type")}
            return {**fields, **named, USER_ID: user, ITEM_ID: event.get("item"), TIMESTAMP: at}
    raise ValueError(f"no event of Metarank: {event.get('event')!r}, expected one of {', '.join(TABLE_OF)}")


def _fields(told: Any) -> Row:
    try:
        return {str(field["name"]): _value(field["value"]) for field in told}
    except (TypeError, KeyError):
        raise ValueError("unreadable fields: expected a list of objects with name and value") from None


def _value(value: Any) -> Any:
    """A list of texts as one text, which can stand in the text of an item; all else as it is."""
    is_texts = isinstance(value, list) and all(isinstance(text, str) for text in value)
    return ", ".join(value) if is_texts else value


def _shown(items: Any) -> list[str] | None:
    try:
        return None if items is None else [_id(item["id"]) or "" for item in items]
    except (TypeError, KeyError):
        raise ValueError("unreadable items: expected a list of objects with id") from None


def _versions(rows: Rows, known: Latest) -> tuple[Rows, int]:
    """The items as they are after each event, and how many events said nothing new.

    An event tells some fields of an item and leaves the others as they were. Events of one moment follow each other by
    a microsecond.
    """
    times = read_time(column_of(UPDATED_AT, [row[UPDATED_AT] for row in rows.values])).to_list()
    found = Rows([], [], rows.broken)
    for row, line, time in zip(rows.values, rows.lines, times, strict=True):
        item = _id(row[ITEM_ID])
        if item is not None and time is not None:
            fields = {name: value for name, value in row.items() if name not in (ITEM_ID, UPDATED_AT)}
            if not known.tell(item, fields, line):
                continue
            known.times[item] = time = time + MOMENT if time == known.times.get(item) else time
            row = {**known.fields[item], ITEM_ID: item, UPDATED_AT: time.isoformat()}
        # Else it is refused by whoever checks it.
        found.values.append(row)
        found.lines.append(line)
    return found, len(rows.values) - len(found.values)


def _remembered(rows: Rows, known: Latest) -> tuple[Rows, int]:
    """No rows as yet but those of nobody, and how many events were about users that are known already."""
    found, before = Rows([], [], rows.broken), len(known.fields)
    for row, line in zip(rows.values, rows.lines, strict=True):
        user = _id(row[USER_ID])
        if user is None:
            found.values.append(row)
            found.lines.append(line)
        else:
            known.tell(user, {name: value for name, value in row.items() if name != USER_ID}, line)
    return found, len(rows.values) - len(found.values) - (len(known.fields) - before)


def _id(value: Any) -> str | None:
    text = str(value) if isinstance(value, str | int) else ""
    return text if text.strip() else None


def _chunk(file: Path, rows: Rows, again: int, table: str, size: int) -> Chunk:
    names: Iterable[str] = dict.fromkeys(name for row in rows.values for name in row)
    columns = [column_of(name, [row.get(name) for row in rows.values]) for name in names]
    cleaned = {AGAIN[table]: again} if again else {}
    lines = pl.Series("line", rows.lines, pl.Int64)
    return Chunk(str(file), pl.DataFrame(columns), lines, tuple(rows.broken), loose=True, size=size, cleaned=cleaned)
