"""The recsys.toml of a new project: what was found in the files, with a comment for every key."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from recsys.detection import Detected, Span
from recsys.knownlogs import KnownLog
from recsys.schema import TABLES

PURCHASE, CLICK = "purchase", "click"
# What a name of an interaction type says about it, first match first, and how much one such interaction counts.
MEANINGS: tuple[tuple[str, str, float], ...] = (
    (r"remove|delete|unlike|dislike|refund|return|cancel", "other", 1.0),
    (r"cart|basket", "cart", 3.0),
    (r"purchase|order|buy|bought|transaction|sale", PURCHASE, 5.0),
    (r"favou?rite|wishlist|wish|like|bookmark|save", "favourite", 2.0),
    (r"click", CLICK, 1.0),
    (r"view|impression|show|seen|visit", "view", 0.2),
)
ONLY_TYPE = "interaction"
TEXT_FIELDS = ("title", "description", "category", "brand")
TEST_DAYS, TEST_SHARE = 14, 0.2


def render(
    name: str, paths: Mapping[str, Path], tables: Mapping[str, Detected], span: Span, known: KnownLog | None = None
) -> str:
    """The text of recsys.toml.

    paths   table → its file or folder, relative to the folder of recsys.toml
    tables  table → its columns
    known   what is known of the format of the log, if it is not one of our own
    """
    fields = known.text if known and known.text else _text_fields(tables.get("items"))
    sections = [
        f"# What the project is called.\nname = {_quoted(name)}",
        _source(paths, known),
        *(_columns(table, found.columns) for table, found in tables.items()),
        _types(known.types if known and known.types else _guessed_types(span.types)),
        _text(fields),
        _split(span),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _source(paths: Mapping[str, Path], known: KnownLog | None) -> str:
    files = ["# Files or folders (Parquet, JSON lines, CSV), relative to the folder of this file."]
    if known:
        files = [
            "# A log as it is published: docs/sources.md says what is read of it.",
            f"format = {_quoted(known.format)}",
            "# Where it lies, relative to the folder of this file.",
        ]
    lines = [
        "[source]",
        *files,
        *(f"{table} = {_quoted(paths[table].as_posix())}" for table in TABLES if table in paths),
        "# Bad rows go to quarantine/; more of them than this share of a table stop the import.",
        "max_bad_share = 0.05",
    ]
    return "\n".join(lines)


def _columns(table: str, columns: Mapping[str, str]) -> str:
    differing = [f"{ours} = {_quoted(theirs)}" for ours, theirs in columns.items() if theirs != ours]
    if not differing:
        return ""
    return "\n".join([f"# Our column = the column in your {table}.", f"[columns.{table}]", *differing])


def _guessed_types(names: Sequence[str]) -> dict[str, tuple[float, bool]]:
    """Of each type its weight and whether it is a label, by its name."""
    meanings = {name: _meaning(name) for name in names or (ONLY_TYPE,)}
    labels = {name for name, (meaning, _) in meanings.items() if meaning in (PURCHASE, CLICK)} or set(meanings)
    return {name: (weight, name in labels) for name, (_, weight) in meanings.items()}


def _types(types: Mapping[str, tuple[float, bool]]) -> str:
    lines = [
        "# Every event type of the interactions. weight: how much one such interaction counts for a user's taste.",
        "# label: whether the engine learns to predict it.",
        "[interaction_types]",
    ]
    for name, (weight, is_label) in types.items():
        key = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)
        lines.append(f"{key} = {{ weight = {weight}, label = {'true' if is_label else 'false'} }}")
    return "\n".join(lines)


def _text_fields(items: Detected | None) -> Sequence[str]:
    return [name for name in TEXT_FIELDS if items and name in items.text] or ["title"]


def _text(fields: Sequence[str]) -> str:
    lines = [
        "[text]",
        "# What the text model reads of an item; what stands before a blank column is left out with it.",
        f"template = {_quoted('. '.join(f'{{{name}}}' for name in fields))}",
        "# Longer texts are cut off here; an English word has about 1.3 tokens.",
        f"max_tokens = {32 if list(fields) == ['title'] else 64}",
    ]
    return "\n".join(lines)


def _split(span: Span) -> str:
    start = start_of_test(span.first, span.last)
    if start is None:
        return "# [split] is left out: all interactions lie at one moment, so there is no later one to measure on."
    days = min(TEST_DAYS, max(1, round((start - span.first) / timedelta(days=1) * TEST_SHARE)))
    lines = [
        "[split]",
        f"# The log runs from {span.first:%Y-%m-%d} to {span.last:%Y-%m-%d}. The models learn from what happens before",
        "# this moment, and are measured on what happens from then on.",
        f"test_start = {start.isoformat()}",
        "# The days before it on which the models are tuned.",
        f"validation_days = {days}",
    ]
    return "\n".join(lines)


def start_of_test(first: datetime, last: datetime) -> datetime | None:
    """Where the last 14 days begin, or the last fifth of a shorter log; midnight when both sides keep interactions.

    None when all interactions lie at one moment.
    """
    if first == last:
        return None
    start = last - min(timedelta(days=TEST_DAYS), (last - first) * TEST_SHARE)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if first < midnight <= last else start


def _meaning(name: str) -> tuple[str, float]:
    for pattern, meaning, weight in MEANINGS:
        if re.search(pattern, name.lower()):
            return meaning, weight
    return "other", 1.0


def _quoted(text: str) -> str:
    """A TOML string; JSON escapes the same characters in the same way."""
    return json.dumps(text, ensure_ascii=False)
