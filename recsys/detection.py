"""Guess from a user's files which column is what, which interaction types there are and what time they span."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from recsys.errors import DataError
from recsys.finishing import guessed
from recsys.parsing import missing_to_null, read, read_text, read_time
from recsys.progress import progress
from recsys.schema import (
    EVENT_ID,
    EVENT_TYPE,
    ITEM_ID,
    PRICE,
    PUBLISHED_AT,
    REQUEST_ID,
    REQUIRED,
    TIMESTAMP,
    TITLE,
    UPDATED_AT,
    USER_ID,
    VALUE,
    columns_of,
)
from recsys.sources import Chunk
from recsys.sources.files import find_files, read_file

# Other people's names for our columns, in lower case and without anything but letters and digits, best first.
ALIASES = {
    USER_ID: "userid customerid visitorid clientid memberid accountid shopperid reviewerid profileid personid uid user "
    "customer visitor",
    ITEM_ID: "itemid productid sku asin articleid productcode stockcode contentid movieid bookid newsid videoid "
    "trackid listingid offerid isbn pid item product article",
    TIMESTAMP: "timestamp eventtime eventtimestamp time ts datetime createdat occurredat unixtime unixreviewtime "
    "eventdate orderdate invoicedate purchasedate tdat date",
    EVENT_TYPE: "eventtype event interactiontype eventname action actiontype behavior type",
    EVENT_ID: "eventid",
    REQUEST_ID: "requestid impressionid recommendationid slateid",
    VALUE: "value revenue amount total price",
    TITLE: "title name productname producttitle itemname itemtitle prodname headline",
    "description": "description productdescription desc detaildesc abstract summary body",
    "category": "category categorycode categoryname productcategory producttypename genres genre",
    "brand": "brand brandname manufacturer publisher author",
    PRICE: "price unitprice listprice",
    PUBLISHED_AT: "publishedat publishdate releasedate createdat dateadded",
    UPDATED_AT: "updatedat modifiedat lastmodified",
    "items": "items itemids shown impressions products productids slate",
    "propensities": "propensities propensity",
}
# In its own table a bare id is that table's.
OWN_ID = {"items": ITEM_ID, "users": USER_ID, "impressions": REQUEST_ID, "interactions": EVENT_ID}
MAX_UNREAD_SHARE = 0.5
MAX_TYPES = 50


@dataclass(frozen=True)
class Detected:
    """What one table of the user's looks like: our column name → the name in the file, and which hold text."""

    columns: dict[str, str]
    text: frozenset[str]


@dataclass(frozen=True)
class Span:
    """The interaction types of a log, most frequent first, and its first and last moment."""

    types: tuple[str, ...]
    first: datetime
    last: datetime


def detect_columns(table: str, path: Path, given: Mapping[str, str]) -> Detected:
    """Which column of the table's first file is what. given: our name → theirs, for those that need no guess.

    Raises DataError when a required column cannot be found, or cannot be read as what its name says.
    """
    file = find_files(path)[0]
    rows = pl.DataFrame()
    for chunk in read_file(file):
        rows = chunk.rows
        if rows.height:
            break
    if missing := sorted(set(given.values()) - set(rows.columns)):
        raise DataError(f"{file}: found the columns {rows.columns}, expected {missing}; correct --column")
    columns = dict(given)
    for ours, dtype in columns_of(table).items():
        names = [name for name in _candidates(table, ours, rows.columns) if name not in columns.values()]
        for theirs in names if ours not in columns else ():
            sample = missing_to_null(rows.get_column(theirs))
            unread = sample.filter(read(sample, dtype).is_null() & sample.is_not_null())
            # Some bad rows are the import's to refuse; a column that is mostly unreadable is another one.
            if len(unread) <= MAX_UNREAD_SHARE * sample.count():
                columns[ours] = theirs
                break
            # A guess may be wrong; a column under our own name or without which nothing works may not.
            if theirs == ours or (ours in REQUIRED[table] and theirs == names[-1]):
                raise DataError(
                    f"{file}: column {theirs!r} has {unread[0]!r}, which cannot be read as {ours} ({dtype}); "
                    f"convert it, or name another column with --column {table}.{ours}=…"
                )
    for ours in REQUIRED[table]:
        if ours not in columns and ours != EVENT_TYPE:
            raise DataError(
                f"{file}: found the columns {rows.columns}, none of them looks like {ours}; "
                f"say which one it is with --column {table}.{ours}=…"
            )
    return Detected(columns, frozenset(ours for ours, theirs in columns.items() if _is_text(rows.get_column(theirs))))


def scan_interactions(path: Path, columns: Mapping[str, str]) -> Span:
    """One pass over all interactions.

    Raises DataError when no row has a time that can be read, or the event types are too many to be types.
    """
    files = find_files(path)
    chunks = (chunk for file in files for chunk in read_file(file))
    return span_of(path, chunks, columns, sum(file.stat().st_size for file in files))


def span_of(place: Path, chunks: Iterable[Chunk], columns: Mapping[str, str], size: int) -> Span:
    """The same of interactions in chunks; size: the bytes that they take in all."""
    types: dict[str | None, int] = {}
    first, last = None, None
    with progress("scan interactions", size // 1024) as advance:
        for chunk in chunks:
            names = chunk.rows.columns
            if EVENT_TYPE in columns and columns[EVENT_TYPE] in names and len(types) <= MAX_TYPES:
                column = read_text(missing_to_null(chunk.rows.get_column(columns[EVENT_TYPE])))
                for name, count in column.drop_nulls().value_counts().iter_rows():
                    types[name] = types.get(name, 0) + count
            if columns[TIMESTAMP] in names:
                times = read_time(missing_to_null(chunk.rows.get_column(columns[TIMESTAMP])))
                low, high = times.min(), times.max()
                if isinstance(low, datetime) and isinstance(high, datetime):
                    first = low if first is None else min(first, low)
                    last = high if last is None else max(last, high)
            advance(chunk.size // 1024)
    if first is None or last is None:
        raise DataError(
            f"{place}: no row has a {TIMESTAMP} in {columns[TIMESTAMP]!r}; expected at least one interaction"
        )
    if len(types) > MAX_TYPES:
        raise DataError(
            f"{place}: {columns[EVENT_TYPE]!r} holds more than {MAX_TYPES} values, too many to be event types; "
            f"name the right column with --column interactions.{EVENT_TYPE}=…"
        )
    return Span(tuple(str(name) for name in sorted(types, key=lambda name: -types[name])), first, last)


def _candidates(table: str, ours: str, names: list[str]) -> list[str]:
    """The columns that may be ours by their name, best first."""
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(names)}
    wanted = ALIASES.get(ours, "").split() + (["id"] if OWN_ID[table] == ours else [])
    found = [plain[alias] for alias in wanted if alias in plain]
    return [ours, *(name for name in found if name != ours)] if ours in names else found


def _is_text(column: pl.Series) -> bool:
    return column.dtype == pl.String and guessed(missing_to_null(column)).dtype == pl.String
