"""What is stored anywhere in a folder, for tests: every byte of every file, and what is packed in it."""

import io
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl


def files_with(folder: Path, text: str) -> set[str]:
    """The files, relative to the folder, in which a text stands, as it is or packed."""
    wanted = text.encode()
    return {
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(wanted in part for part in _parts(path))
    }


def _parts(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    yield content
    if content[:4] == b"PAR1":
        table = pl.read_parquet(path, hive_partitioning=False)
        yield repr(table.to_dicts()).encode()
        yield repr(table.columns).encode()
    elif content[:15] == b"SQLite format 3":
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                for row in connection.execute(f'SELECT * FROM "{table}"'):
                    yield b"\0".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield _array(archive.read(name))
    elif path.suffix == ".npy":
        yield _array(content)


def _array(content: bytes) -> bytes:
    array = np.load(io.BytesIO(content))
    return b"\0".join(text.encode() for text in array.ravel()) if array.dtype.kind == "U" else array.tobytes()
