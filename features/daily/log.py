"""Interactions as Parquet files in a folder for each UTC day.

Reads and writes  FOLDER/day=YYYY-MM-DD/PART.parquet
"""

import shutil
from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2b
from pathlib import Path

import polars as pl

from recsys.forgetting.who import Who
from recsys.schema import TIMESTAMP, USER_ID

ONE_DAY = timedelta(days=1)
EVENTS = "events"
POSITION = "position"


class DailyLog:
    """The interactions of one folder. Within a day their order is that of the parts by name, then that of the rows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, interactions: pl.DataFrame | pl.LazyFrame, *, part: str = EVENTS) -> list[date]:
        """Put interactions into the folders of their days, and return these.

        Each file is there whole or not at all, and takes the place of the one of that part and day: what was killed
        can run again. Late interactions go into a part of their own. A LazyFrame is read once more for each day.
        """
        rows = interactions.lazy()
        days = rows.select(pl.col(TIMESTAMP).dt.date().unique().sort()).collect(engine="streaming")[TIMESTAMP].to_list()
        for day in days:
            path = self.path(day) / f"{part}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_suffix(".tmp")
            rows.filter(
                pl.col(TIMESTAMP).is_between(midnight(day), midnight(day + ONE_DAY), closed="left")
            ).sink_parquet(new, maintain_order=True)
            new.replace(path)
        return days

    def hold(self, interactions: pl.DataFrame) -> list[date]:
        """Hold these interactions, in the order of time, and no others; returns the days that are not as they were.

        Files of other days are left alone: each has its name from what is in it.
        """
        rows = interactions.sort(TIMESTAMP, maintain_order=True)
        hashes = rows.hash_rows().to_numpy()
        lengths = dict(rows.group_by(pl.col(TIMESTAMP).dt.date(), maintain_order=True).len().rows())
        changed = [day for day in self.days() if day not in lengths]
        for day in changed:
            shutil.rmtree(self.path(day))
        start = 0
        for day, length in lengths.items():
            content = blake2b(hashes[start : start + length].tobytes(), digest_size=16).hexdigest()
            path = self.path(day) / f"{content}.parquet"
            if _parts(path.parent) != [path]:
                path.parent.mkdir(parents=True, exist_ok=True)
                new = path.with_suffix(".tmp")
                rows.slice(start, length).write_parquet(new)
                new.replace(path)
                for other in path.parent.iterdir():
                    if other != path:
                        other.unlink()
                changed.append(day)
            start += length
        return sorted(changed)

    def forget(self, who: Who) -> list[date]:
        """Remove every day on which any of these users did anything, and what killed processes left; returns the days.

        The next `hold` writes them anew.
        """
        for leftover in self.folder.glob("day=*/*.tmp"):
            leftover.unlink()
        found = []
        for day in self.days():
            users = pl.scan_parquet(_parts(self.path(day)), hive_partitioning=False).select(pl.col(USER_ID).unique())
            if who.among(users.collect()[USER_ID]):
                shutil.rmtree(self.path(day))
                found.append(day)
        return found

    def days(self) -> list[date]:
        """The days with interactions, in order."""
        found = (folder.name.removeprefix("day=") for folder in self.folder.glob("day=*") if any(_parts(folder)))
        return sorted(date.fromisoformat(day) for day in found)

    def version(self, day: date) -> str:
        """Differs when the files of the day do."""
        stats = ((path.name, path.stat()) for path in _parts(self.path(day)))
        return ";".join(f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in stats)

    def scan(self, day: date) -> pl.LazyFrame:
        """The interactions of a day with interactions; `position` numbers them."""
        return pl.scan_parquet(_parts(self.path(day)), hive_partitioning=False, row_index_name=POSITION)

    def path(self, day: date) -> Path:
        """The folder of a day."""
        return self.folder / f"day={day}"


def midnight(day: date) -> datetime:
    """The moment at which a day begins."""
    return datetime.combine(day, time(), UTC)


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))
