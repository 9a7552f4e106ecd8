"""Read JSON lines in blocks of bytes: one object a line, UTF-8, blank lines skipped.

A column takes the type that its values have in the block; where they differ each is kept as its JSON text.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from recsys.errors import DataError
from recsys.sources import BrokenLine, Chunk

BLOCK_BYTES = 8 << 20
BOM = b"\xef\xbb\xbf"
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


def read_jsonl(path: Path) -> Iterator[Chunk]:
    """The rows of a file of JSON objects; a key that an object lacks is null. Raises DataError on an empty file."""
    with path.open("rb") as file:
        line, rest, at_end = 1, b"", False
        while not at_end:
            block = file.read(BLOCK_BYTES)
            at_end = len(block) < BLOCK_BYTES
            if line == 1 and not rest:
                block = _checked_start(path, block)
            block = rest + block
            if at_end and block and not block.endswith(b"\n"):
                block += b"\n"
            cut = block.rfind(b"\n") + 1
            block, rest = block[:cut], block[cut:]
            if block:
                yield _read_block(str(path), block, line)
                line += block.count(b"\n")


def _checked_start(path: Path, block: bytes) -> bytes:
    """The first block without its byte order mark."""
    block = block.removeprefix(BOM)
    start = block.lstrip()[:1]
    if not start:
        raise DataError(f"{path}: the file is empty; expected one JSON object a line")
    if start == b"[":
        raise DataError(f"{path}: the file is one JSON array; expected one object a line, write it with `jq -c '.[]'`")
    return block


def _read_block(file: str, block: bytes, first_line: int) -> Chunk:
    count = block.count(b"\n")
    numbers: Sequence[int] = range(first_line, first_line + count)
    broken: list[BrokenLine] = []
    try:
        objects = _object.decode_lines(block)
    except (msgspec.DecodeError, UnicodeDecodeError):
        objects = []
    # A broken line spoils its block and a blank one shifts the numbers: then line by line.
    if len(objects) != count or not all(objects):
        objects, numbers, broken = _read_lines(block, first_line)
    names = dict.fromkeys(name for row in objects for name in row)
    rows = pl.DataFrame([_column(name, [row.get(name) for row in objects]) for name in names])
    return Chunk(file, rows, pl.Series("line", numbers, pl.Int64), tuple(broken), loose=True, size=len(block))


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


def _column(name: str, values: list[Any]) -> pl.Series:
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
    texts = [value if value is None or isinstance(value, str) else _encode(value) for value in values]
    return pl.Series(name, texts, pl.String)


def _common_type(kinds: set[type]) -> pl.DataType | None:
    """The type of a column that holds these kinds of JSON values, None where only text can."""
    for dtype, allowed in TYPES:
        if kinds <= allowed:
            return dtype
    return None


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()
