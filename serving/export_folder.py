"""The folder that the event log is exported to: new files appear all at once, and what broke off leaves nothing.

TABLE/day=DATE/LOG-FIRST-LAST.parquet  rows of one day, the sequences of the rows that were read for it in its name
_export.json                           how far each log was exported, and which files have yet to get their names
_lock                                  held by the process that exports

Files are written under hidden names, which no import reads. Replacing _export.json is what makes them count; then they
get their names. Who finds names that are missing, after a process that died there, gives them first.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from recsys.durable import exclusively, sync
from recsys.errors import DataError

STATE: Final = "_export.json"
LOCK: Final = "_lock"

Places = dict[str, int]
"""Table → the sequence of the last row that was exported."""


class State(msgspec.Struct, forbid_unknown_fields=True):
    """What _export.json says."""

    logs: dict[str, Places] = {}
    """By the id of a log."""
    unnamed: list[str] = []
    """Files, relative to the folder, that are written and have yet to get their names."""


class ExportFolder:
    """Use `open_folder`: one process at a time."""

    def __init__(self, folder: Path, state: State) -> None:
        self._folder, self._state = folder, state
        self._written: list[Path] = []

    def exported(self, log_id: str) -> Places:
        """How far this log was exported; a table that is not named was not."""
        return dict(self._state.logs.get(log_id, {}))

    def write(self, table: str, day: str, name: str, rows: pl.DataFrame) -> None:
        """Write rows of a day, sorted as they come; they count from the next `commit` on."""
        path = self._folder / table / f"day={day}" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(_hidden(path), compression="zstd")
        sync(_hidden(path))
        self._written.append(path)

    def commit(self, log_id: str, places: Mapping[str, int]) -> None:
        """All that was written counts now, and the log is exported up to these places."""
        for folder in {path.parent for path in self._written}:
            sync(folder)
        self._state.logs[log_id] = dict(places)
        self._state.unnamed = [str(path.relative_to(self._folder)) for path in self._written]
        self._save()
        self._written = []
        self.finish()

    def replace(self, table: str, change: Callable[[Path, Path], bool]) -> None:
        """Put other files in the place of those of a table, each at once.

        change  writes what is to come in the place of a file, its first argument, into the second; False: it may stay
        """
        for path in sorted(self._folder.glob(f"{table}/day=*/*.parquet")):
            # What broke off before is removed when the folder is opened.
            if change(path, _hidden(path)):
                sync(_hidden(path))
                os.replace(_hidden(path), path)
                sync(path.parent)
            else:
                _hidden(path).unlink(missing_ok=True)

    def finish(self) -> None:
        """Give those files their names that have none yet."""
        paths = [self._folder / name for name in self._state.unnamed]
        for path in paths:
            if _hidden(path).exists():
                os.replace(_hidden(path), path)
        for folder in {path.parent for path in paths}:
            sync(folder)
        if paths:
            self._state.unnamed = []
            self._save()

    def remove_leftovers(self) -> None:
        """What was written by a process that died before it counted."""
        for path in self._folder.glob("*/day=*/.*.new"):
            path.unlink()

    def _save(self) -> None:
        path = self._folder / STATE
        new = _hidden(path)
        new.write_bytes(msgspec.json.format(msgspec.json.encode(self._state), indent=1) + b"\n")
        sync(new)
        os.replace(new, path)
        sync(self._folder)


@contextmanager
def open_folder(folder: Path) -> Iterator[ExportFolder]:
    """The folder, made when it is not there, for this process alone; what an earlier one left is put in order.

    Raises DataError when _export.json cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with exclusively(folder / LOCK):
        found = ExportFolder(folder, _read(folder / STATE))
        found.finish()
        found.remove_leftovers()
        yield found


def _read(path: Path) -> State:
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except msgspec.DecodeError as error:
        raise DataError(
            f"{path}: {error}; expected what `recsys export` wrote; put it back, or remove the folder to export anew "
            "what the event log still has"
        ) from error


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")
