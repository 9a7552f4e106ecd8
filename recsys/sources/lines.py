"""Read a text file in blocks of whole lines, plain or with gzip around it (.gz)."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recsys.errors import DataError

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Block:
    """Some lines of a file.

    first_line  the number of the first of them, from 1
    data        the lines, each with its line break; the byte order mark of the file is gone
    size        bytes on disk that they took
    """

    first_line: int
    data: bytes
    size: int


def read_blocks(path: Path, block_bytes: int) -> Iterator[Block]:
    """The blocks of a file; a line is never cut, however long it is.

    Raises DataError when the file cannot be read, or its gzip is damaged.
    """
    try:
        with path.open("rb") as disk, gzip.open(disk) if path.suffix.lower() == ".gz" else disk as file:
            line, rest, done, at_end = 1, b"", 0, False
            while not at_end:
                block = file.read(block_bytes)
                at_end = len(block) < block_bytes
                # Joined once a block: within a line that is longer than many blocks nothing is yielded.
                block = rest + block
                if at_end and block and not block.endswith(b"\n"):
                    block += b"\n"
                cut = block.rfind(b"\n") + 1
                block, rest = block[:cut], block[cut:]
                if not block:
                    continue
                size, done = disk.tell() - done, disk.tell()
                yield Block(line, block.removeprefix(BOM) if line == 1 else block, size)
                line += block.count(b"\n")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: {error}; expected a whole, readable file, download or copy it again") from error
