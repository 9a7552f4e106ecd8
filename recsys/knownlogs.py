"""What a new project needs to know of a log whose format is known: its types, its texts and the time that it spans."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from recsys.config import Format, Source
from recsys.detection import Detected, Span, span_of
from recsys.errors import DataError
from recsys.schema import EVENT_TYPE, TIMESTAMP, TITLE
from recsys.sources.mind import CLICK, HISTORY
from recsys.sources.opening import OWN_NAMES, open_source
from recsys.sources.stars import LIKE, RATING

# What was liked is worth predicting; what was not liked still says what a user is busy with.
STARS = {LIKE: (1.0, True), RATING: (0.2, False)}


@dataclass(frozen=True)
class KnownLog:
    """A format, its interaction types with their weights and whether they are labels, and the columns that tell what
    an item is. Without types or text, they are what the log holds."""

    format: Format
    types: Mapping[str, tuple[float, bool]]
    text: tuple[str, ...]


KNOWN_LOGS = {
    known.format: known
    for known in (
        KnownLog("online_retail", {"purchase": (1.0, True)}, (TITLE,)),
        KnownLog("mind", {CLICK: (1.0, True), HISTORY: (1.0, False)}, (TITLE, "description")),
        KnownLog("movielens", STARS, (TITLE, "genres")),
        KnownLog("amazon_reviews", STARS, (TITLE, "category", "description")),
        KnownLog("metarank", {}, ()),
    )
}


def look_into(
    known: KnownLog, paths: Mapping[str, Path], given: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, Detected], Span]:
    """The columns of the tables that have names of their own, and the span of the interactions.

    paths  table → file or folder; given: table → our column name → the name in the log

    Raises DataError when the log cannot be read, or a name is given where the format has its own; ConfigError when the
    format has no use for a path.
    """
    if given and known.format not in OWN_NAMES:
        raise DataError(f"--column: the columns of {known.format} are known; leave the option out")
    place = paths["interactions"]
    named = {table: str(path.absolute()) for table, path in paths.items()}
    source = open_source(Path(), msgspec.convert({"format": known.format, **named}, Source))
    tables = {table: Detected(dict(columns), frozenset()) for table, columns in given.items()}
    if not known.text and "items" in source.tables():
        rows = (chunk.rows for chunk in source.chunks("items"))
        found = next((some.columns for some in rows if some.height), [])
        columns = dict(given.get("items", {}))
        if columns.get(TITLE, TITLE) not in found:
            raise DataError(
                f"{place}: the items have the fields {found}, expected {columns.get(TITLE, TITLE)!r}; say which of "
                f"them is the title with --column items.{TITLE}=…"
            )
        tables["items"] = Detected(columns, frozenset({*found, *columns}))
    names = {EVENT_TYPE: EVENT_TYPE, TIMESTAMP: TIMESTAMP}
    return tables, span_of(place, source.chunks("interactions"), names, source.size("interactions"))
