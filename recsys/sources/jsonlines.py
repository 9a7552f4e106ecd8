"""Read JSON lines in blocks of bytes: one object a line, UTF-8, blank lines skipped.

A column takes the type that its values have in the block; where they differ each is kept as its JSON text.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from recsys.errors import DataError
from recsys.sources import BrokenLine, Chunk
from recsys.sources.lines import Block, read_blocks

BLOCK_BYTES = 8 << 20
JSON_ENDINGS = tuple(ending + zipped for ending in (".jsonl", ".ndjson", ".json") for zipped in ("", ".gz"))
# The narrowest type first.
TYPES: tuple[tuple[pl.DataType, set[type]], ...] = (
    (pl.String(), {str}),
    (pl.Boolean(), {bool}),
    (pl.Int64(), {int}),
    (pl.Float64(), {int, float}),
    (pl.List(pl.Null), {list}),
)
NESTED: set[type] = {list, dict}
KINDS: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    type(None): "null",
}
_object = msgspec.json.Decoder(dict[str, Any])
_anything = msgspec.json.Decoder()


@dataclass(frozen=True)
class Objects:
    """The JSON objects of some lines, the number of the line of each, and the lines that are none."""

    values: Sequence[dict[str, Any]]
    lines: Sequence[int]
    broken: Sequence[BrokenLine]
    size: int


def read_jsonl(path: Path, *, keep: Collection[str] | None = None) -> Iterator[Chunk]:
    """The rows of a file of JSON objects, .gz or not; a key that an object lacks is null.

    keep: only these keys become columns. Raises DataError on an empty file.
    """
    for part in read_objects(path):
        names = dict.fromkeys(name for row in part.values for name in row if keep is None or name in keep)
        rows = pl.DataFrame([column_of(name, [row.get(name) for row in part.values]) for name in names])
        lines = pl.Series("line", part.lines, pl.Int64)
        yield Chunk(str(path), rows, lines, tuple(part.broken), loose=True, size=part.size)


def read_objects(path: Path) -> Iterator[Objects]:
    """The same, before they become columns."""
    block = None
    for block in read_blocks(path, BLOCK_BYTES):
        if block.first_line == 1:
            _check_start(path, block.data)
        yield _read_block(block)
    if block is None:
        _check_start(path, b"")


def _check_start(path: Path, block: bytes) -> None:
    start = block.lstrip()[:1]
    if not start:
        raise DataError(f"{path}: the file is empty; expected one JSON object a line")
    if start == b"[":
        raise DataError(f"{path}: the file is one JSON array; expected one object a line, write it with `jq -c '.[]'`")


def _read_block(block: Block) -> Objects:
    count = block.data.count(b"\n")
    try:
        objects = _object.decode_lines(block.data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        objects = []
    # A broken line spoils its block and a blank one shifts the numbers: then line by line.
    if len(objects) != count or not all(objects):
        return Objects(*_read_lines(block.data, block.first_line), block.size)
    return Objects(objects, range(block.first_line, block.first_line + count), (), block.size)


def _read_lines(block: bytes, first_line: int) -> tuple[list[dict[str, Any]], list[int], list[BrokenLine]]:
    objects: list[dict[str, Any]] = []
    numbers: list[int] = []
    broken: list[BrokenLine] = []
    for number, line in enumerate(block.split(b"\n")[:-1], start=first_line):
        if not line.strip():
            continue
        reason = None
        try:
            line.decode()
            value = _anything.decode(line)
            if not isinstance(value, dict):
                reason = f"{KINDS[type(value)]}, expected a JSON object"
            elif not value:
                reason = "an empty JSON object"
        except UnicodeDecodeError:
            reason = "invalid UTF-8"
        except msgspec.DecodeError as error:
            reason = f"broken JSON: {error}"
        if reason is None:
            objects.append(value)
            numbers.append(number)
        else:
            broken.append(BrokenLine(number, reason, line.decode(errors="replace").strip()))
    return objects, numbers, broken


def column_of(name: str, values: list[Any]) -> pl.Series:
    """The values as one column of the narrowest type that holds them all unchanged."""
    dtype: pl.DataType | None = _common_type({type(value) for value in values if value is not None})
    if isinstance(dtype, pl.List):
        inner = {type(element) for value in values if value is not None for element in value}
        dtype = pl.List(_common_type(inner) or pl.String) if len(inner) <= 1 and not inner & NESTED else None
    try:
        if dtype == pl.Float64:
            values = [None if value is None else float(value) for value in values]
        if dtype is not None:
            return pl.Series(name, values, dtype)
    except (OverflowError, TypeError):
        pass  # An integer of more than 64 bits is an id, or no number that anybody can reckon with.
    texts = [value if value is None or isinstance(value, str) else encode(value) for value in values]
    return pl.Series(name, texts, pl.String)


def _common_type(kinds: set[type]) -> pl.DataType | None:
    """The type of a column that holds these kinds of JSON values, None where only text can."""
    for dtype, allowed in TYPES:
        if kinds <= allowed:
            return dtype
    return None


def encode(value: object) -> str:
    """A value as JSON text."""
    return msgspec.json.encode(value).decode()
