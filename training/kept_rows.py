"""Rows of the ranker, kept from one training to the next: a window of which nothing has changed is not made again.

Reads and writes  cache/ranker_rows/KEY.npz     no ids of users or items; KEY is a hash of all that a window depends on
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

from recsys.mapped_npz import read_npz, write_npz
from training.ranker_rows import RankerRows

FOLDER: Final = "ranker_rows"
PLACES: Final = "places"


class KeptRows:
    """Those of one project; at most so many windows, the latest used."""

    def __init__(self, cache: Path, *, most: int) -> None:
        self._folder = cache / FOLDER
        self._most = most

    def get(self, key: str, make: Callable[[], RankerRows | None]) -> RankerRows | None:
        """The rows of a window, made unless they are there; None for one that has none."""
        path = self._folder / f"{key}.npz"
        if not path.exists():
            self._write(path, make())
        os.utime(path)
        arrays = read_npz(path)
        return RankerRows(**arrays) if len(arrays["groups"]) else None

    def drop_oldest(self) -> None:
        """Those beyond `most` that have not been used for longest."""
        by_use = sorted(self._folder.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns)
        for path in by_use[: -self._most]:
            path.unlink()

    def _write(self, path: Path, rows: RankerRows | None) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        rows = RankerRows.none() if rows is None else rows
        arrays: dict[str, np.ndarray] = {"matrix": rows.matrix, "gains": rows.gains, "groups": rows.groups}
        if rows.places is not None:
            arrays[PLACES] = rows.places
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        write_npz(partial, arrays)
        partial.replace(path)
        for leftover in self._folder.glob("*.tmp"):
            # Of a run that was killed.
            with suppress(FileNotFoundError):
                leftover.unlink()
