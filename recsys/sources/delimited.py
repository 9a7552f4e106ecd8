"""Read CSV in blocks of bytes: UTF-8 (a byte order mark is skipped), comma separated, a header in the first line.

A block in which every line is a record is split by Polars; one where a quoted field goes over several lines, or where
the quotes make no sense, goes record by record through the csv module, which is slower. Both refuse the same lines for
the same reasons and keep the good lines beside them.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.errors import DataError
from recsys.sources import BrokenLine, Chunk

BLOCK_BYTES = 8 << 20
HEADER_BYTES = 1 << 20
BOM = b"\xef\xbb\xbf"
NEWLINE, COMMA, QUOTE, RETURN = b'\n,"\r'
BEFORE_QUOTE, AFTER_QUOTE = (NEWLINE, COMMA, QUOTE), (NEWLINE, COMMA, QUOTE, RETURN)


def read_csv(path: Path) -> Iterator[Chunk]:
    """The rows of a CSV file, every value a String and an empty field null.

    Raises DataError when the file is empty or its header cannot be used.
    """
    with path.open("rb") as file:
        header, line, rest = _read_header(path, file)
        nothing = pl.DataFrame(schema=dict.fromkeys(header, pl.String()))
        # Without rows there still are columns to be told about.
        yield Chunk(str(path), nothing, pl.Series("line", [], pl.Int64), typed=False)
        at_end = False
        while not at_end:
            block = file.read(BLOCK_BYTES)
            at_end = len(block) < BLOCK_BYTES
            block = rest + block
            if at_end and block and not block.endswith(b"\n"):
                block += b"\n"
            cut = block.rfind(b"\n") + 1
            block, rest = block[:cut], block[cut:]
            if not block:
                continue
            lines = _Lines.of(block)
            if lines is not None:
                chunk = _read_lines(str(path), header, lines, line)
            else:
                chunk, taken = _read_records(str(path), header, block, line, at_end=at_end)
                block, rest = block[:taken], block[taken:] + rest
            line += block.count(b"\n")
            yield chunk


def _read_header(path: Path, file: BinaryIO) -> tuple[list[str], int, bytes]:
    """The column names, the number of the line after them, and what was read beyond."""
    data = file.read(HEADER_BYTES)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path}: the file is UTF-16; expected UTF-8, convert it with `iconv -f UTF-16 -t UTF-8`")
    try:
        reader = csv.reader((line.decode() for line in BytesIO(data.removeprefix(BOM))), strict=True)
        header = [name.strip() for name in next(reader, [])]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: line 1: {error}; expected the column names in UTF-8, separated by commas") from error
    if not any(header):
        raise DataError(f"{path}: the file is empty; expected a first line with the column names")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{path}: line 1: the column names {twice} stand there twice; give each column its own name")
    rest = data.split(b"\n", maxsplit=reader.line_num)[reader.line_num :]
    return header, reader.line_num + 1, b"".join(rest)


@dataclass(frozen=True)
class _Lines:
    """A block in which every line is a record: where its lines start and end, and how many fields each has."""

    block: bytes
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    fields: npt.NDArray[np.int64]
    """0 in a blank line."""

    @classmethod
    def of(cls, block: bytes) -> "_Lines | None":
        """None where a quote stands inside a field or a record goes over several lines."""
        codes = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(codes == NEWLINE)
        starts = np.concatenate(([0], ends[:-1] + 1))
        commas = np.flatnonzero(codes == COMMA)
        quotes = np.flatnonzero(codes == QUOTE)
        if quotes.size:
            # Every second quote opens; a doubled one inside a field closes and opens again. Before the first byte
            # stands, by the index -1, the line break at the end.
            before, after = codes[quotes[::2] - 1], codes[quotes[1::2] + 1]
            inside = np.searchsorted(quotes, ends) % 2
            if not np.isin(before, BEFORE_QUOTE).all() or not np.isin(after, AFTER_QUOTE).all() or inside.any():
                return None
            commas = commas[np.searchsorted(quotes, commas) % 2 == 0]
        blank = (ends == starts) | ((ends == starts + 1) & (codes[starts] == RETURN))
        fields = np.diff(np.searchsorted(commas, ends), prepend=0) + 1
        return cls(block, starts, ends, np.where(blank, 0, fields))

    def __getitem__(self, at: int) -> bytes:
        return self.block[self.starts[at] : self.ends[at] + 1]


def _read_lines(file: str, header: list[str], lines: _Lines, first_line: int) -> Chunk:
    good = lines.fields == len(header)
    broken = [
        _broken(first_line + at, _ragged(int(lines.fields[at]), header), lines[at])
        for at in np.flatnonzero(~good & (lines.fields > 0)).tolist()
    ]
    if not _is_utf8(lines.block):
        for at in np.flatnonzero(good).tolist():
            if not _is_utf8(lines[at]):
                good[at] = False
                broken.append(_broken(first_line + at, "invalid UTF-8", lines[at]))
    block = lines.block if good.all() else b"".join(map(lines.__getitem__, np.flatnonzero(good).tolist()))
    schema = dict.fromkeys(header, pl.String())
    rows = pl.read_csv(block, has_header=False, schema=schema) if block else pl.DataFrame(schema=schema)
    numbers = pl.Series("line", np.flatnonzero(good) + first_line)
    broken.sort(key=lambda line: line.line)
    return Chunk(file, rows, numbers, tuple(broken), typed=False, size=len(lines.block))


def _read_records(file: str, header: list[str], block: bytes, first_line: int, *, at_end: bool) -> tuple[Chunk, int]:
    """A block record by record, and how many of its bytes were used: its last record may go on in the next block."""
    lines = block.decode(errors="surrogateescape").split("\n")[:-1]
    is_utf8 = _is_utf8(block)
    records: list[list[str]] = []
    numbers: list[int] = []
    broken: list[BrokenLine] = []
    start = at = 0
    reader = None
    while at < len(lines):
        reason = None
        if reader is None:
            reader = csv.reader((lines[number] + "\n" for number in range(start, len(lines))), strict=True)
        try:
            fields = next(reader)
            if fields and len(fields) != len(header):
                reason = _ragged(len(fields), header)
            elif not is_utf8 and not all(map(_is_text, fields)):
                reason = "invalid UTF-8"
        except csv.Error as error:
            if "unexpected end" in str(error) and not at_end:
                break
            fields, reason = [], str(error)
        if reason is not None:
            broken.append(_broken(first_line + at, reason, lines[at].encode(errors="surrogateescape")))
            # Go on with the next line: an open quote must not take the good lines after it along.
            start = at = at + 1
            reader = None
            continue
        if fields:
            records.append(fields)
            numbers.append(first_line + at)
        at = start + reader.line_num
    taken = len(block) - sum(len(line.encode(errors="surrogateescape")) + 1 for line in lines[at:])
    columns = list(zip(*records, strict=True)) or [()] * len(header)
    rows = pl.DataFrame([pl.Series(name, values, pl.String) for name, values in zip(header, columns, strict=True)])
    chunk = Chunk(file, rows, pl.Series("line", numbers, pl.Int64), tuple(broken), typed=False, size=taken)
    return chunk, taken


def _ragged(found: int, header: list[str]) -> str:
    return f"{found} fields, expected {len(header)}"


def _broken(line: int, reason: str, text: bytes) -> BrokenLine:
    return BrokenLine(line, reason, text.decode(errors="replace").rstrip("\r\n"))


def _is_utf8(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_text(value: str) -> bool:
    """False where surrogateescape had to hide a byte that is not UTF-8."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
