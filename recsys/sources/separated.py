r"""Read lines of fields with a separator between them: no header, no quotes, as MIND and the older MovieLens have them.

1::1193::5::978300760
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from recsys.sources import BrokenLine, Chunk
from recsys.sources.lines import read_blocks

BLOCK_BYTES = 8 << 20


def read_separated(path: Path, columns: Sequence[str], separator: str, *, latin: bool = False) -> Iterator[Chunk]:
    """The rows of a file whose lines have these columns, every value a String.

    latin: a line that is not UTF-8 is Latin-1; without it such a line is refused.
    """
    for block in read_blocks(path, BLOCK_BYTES):
        texts, broken = _decoded(block.data, block.first_line, latin=latin)
        lines = (
            pl.DataFrame({"text": texts})
            .with_row_index("line", offset=block.first_line)
            .with_columns(pl.col("line").cast(pl.Int64), pl.col("text").str.strip_suffix("\r"))
            .filter(pl.col("text").str.contains(r"\S"))
            .with_columns(fields=pl.col("text").str.split(separator))
        )
        is_row = pl.col("fields").list.len() == len(columns)
        for line, text, found in lines.filter(~is_row).select("line", "text", pl.col("fields").list.len()).iter_rows():
            broken.append(BrokenLine(line, f"{found} fields, expected {len(columns)}", text))
        kept = lines.filter(is_row)
        rows = kept.select(pl.col("fields").list.get(at).alias(name) for at, name in enumerate(columns))
        broken.sort(key=lambda line: line.line)
        yield Chunk(str(path), rows, kept.get_column("line"), tuple(broken), typed=False, size=block.size)


def _decoded(data: bytes, first_line: int, *, latin: bool) -> tuple[pl.Series, list[BrokenLine]]:
    """Each line as text, and those that are not UTF-8, which have none."""
    broken: list[BrokenLine] = []
    texts: list[str | None]
    try:
        texts = list(data.decode().split("\n")[:-1])
    except UnicodeDecodeError:
        texts = []
        for number, line in enumerate(data.split(b"\n")[:-1], start=first_line):
            try:
                texts.append(line.decode())
            except UnicodeDecodeError:
                texts.append(line.decode("latin-1") if latin else None)
                if not latin:
                    broken.append(BrokenLine(number, "invalid UTF-8", line.decode(errors="replace").rstrip("\r")))
    return pl.Series("text", texts, pl.String), broken
