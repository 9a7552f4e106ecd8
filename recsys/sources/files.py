"""Files that already hold our tables, one file or folder a table: Parquet, JSON lines or CSV by their extension."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recsys.config import Source as SourceConfig
from recsys.errors import DataError
from recsys.schema import TABLES
from recsys.sources import Chunk
from recsys.sources.delimited import read_csv
from recsys.sources.jsonlines import read_jsonl
from recsys.sources.parquet import read_parquet

READERS: dict[str, Callable[[Path], Iterator[Chunk]]] = {
    ".parquet": read_parquet,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_jsonl,
    ".csv": read_csv,
}


@dataclass(frozen=True)
class FileSource:
    """The tables that [source] names."""

    root: Path
    paths: dict[str, Path]

    @classmethod
    def of(cls, root: Path, config: SourceConfig) -> "FileSource":
        """The files of a [source] section; its paths are relative to root."""
        named = {table: getattr(config, table) for table in TABLES}
        return cls(root, {table: root / path for table, path in named.items() if path is not None})

    def tables(self) -> tuple[str, ...]:
        return tuple(self.paths)

    def size(self, table: str) -> int:
        return sum(file.stat().st_size for file in find_files(self.paths[table]))

    def chunks(self, table: str) -> Iterator[Chunk]:
        for path in find_files(self.paths[table]):
            shown = str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)
            for chunk in read_file(path):
                yield replace(chunk, file=shown)


def find_files(path: Path, endings: Sequence[str] = tuple(READERS)) -> list[Path]:
    """A file, or the files of a folder and of the folders in it, by name; names that start with . or _ are skipped.

    Raises DataError when nothing is there or a file has an extension that cannot be read.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; correct the path under [source] in recsys.toml")
    files = [path]
    if path.is_dir():
        inside = (file for file in path.rglob("*") if not any(p[0] in "._" for p in file.relative_to(path).parts))
        files = sorted(file for file in inside if file.is_file())
    if not files:
        raise DataError(f"{path}: the folder is empty; expected files that end in {', '.join(endings)}")
    for file in files:
        if not file.name.lower().endswith(tuple(endings)):
            found = file.suffix or "no extension"
            raise DataError(f"{file}: found {found}, expected one of {', '.join(endings)}; convert or rename the file")
    return files


def read_file(path: Path) -> Iterator[Chunk]:
    """The chunks of one file of a known extension."""
    try:
        yield from READERS[path.suffix.lower()](path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; the file must be readable") from error
