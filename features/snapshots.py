"""What is known at a moment, computed with Polars and kept: a file of each view, and the neighbours of the items.

Reads   tables/interactions.parquet, tables/impressions.parquet, tables/users.parquet
Writes  FOLDER/daily/log/               the interactions by day, in files that change only when their day does
        FOLDER/daily/{days,merged}/     what each day adds, computed once       (features.daily.aggregates)
        FOLDER/VIEW/MOMENT-*.parquet    snapshots, made of the days before
        FOLDER/cooccurrence/*.npz       item neighbours at the same moments, and popularity by attributes of users
        FOLDER/computed_from            of each moment a hash of what was known before it    (features.known_before)
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl

from features.cooccurrence import cooccurrence
from features.daily.aggregates import DailyAggregates
from features.daily.events import COLUMNS
from features.daily.log import DailyLog
from features.daily.snapshot import snapshot
from features.exposure import item_exposure
from features.featureset import FeatureSet
from features.known_before import SnapshotTables
from features.neighbours_file import write_neighbours
from features.popularity_by import popularity_by
from features.regression import regression
from features.stored_views import (
    AFFINITY_VIEW,
    ATTRIBUTES_VIEW,
    EXPOSURE_VIEW,
    HISTORY_VIEW,
    ITEM_VIEW,
    USER_VIEW,
)
from features.successors import successors
from features.user_attributes import user_attributes
from recsys.catalogue import Catalogue
from recsys.durable import put
from recsys.forgetting.who import Who
from recsys.schema import USER_ID
from recsys.state import Neighbours

VIEWS = (ITEM_VIEW, USER_VIEW, HISTORY_VIEW, AFFINITY_VIEW, EXPOSURE_VIEW, ATTRIBUTES_VIEW)
USER_VIEWS = (USER_VIEW, HISTORY_VIEW, AFFINITY_VIEW, ATTRIBUTES_VIEW)
COOCCURRENCE = "cooccurrence"
COMPUTED_FROM = "computed_from"
DAILY = "daily"
STAMP = "%Y-%m-%dT%H%M%S.%f"
KEPT = 24
"""Snapshots that are not needed now may be again, as long as what was known then stays the same."""


class Snapshots:
    """Those of one folder. One process at a time writes them."""

    def __init__(self, folder: Path, features: FeatureSet, weights: Mapping[str, float]) -> None:
        """`weights` of the interaction types of these features."""
        self.folder = folder
        self.features = features
        self._days = DailyAggregates(DailyLog(folder / DAILY / "log"), folder / DAILY, weights)

    def has(self, as_of: datetime) -> bool:
        """Whether the snapshot of a moment is there, all of it."""
        return self.neighbours(as_of).exists()

    def neighbours(self, as_of: datetime) -> Path:
        """The file with the neighbours of a moment, the last that is written."""
        return self.folder / COOCCURRENCE / f"{_stamp(as_of)}.npz"

    def hold(self, interactions: pl.DataFrame) -> None:
        """Make the log by day that of these interactions."""
        self._days.log.hold(interactions.select(*COLUMNS))

    def write(
        self,
        tables: SnapshotTables,
        catalogue: Catalogue,
        as_of: datetime,
        *,
        windows_from: datetime | None,
        same_neighbours: bool = False,
    ) -> None:
        """The snapshot of a moment; `hold` came before with the same interactions.

        windows_from, same_neighbours  those of BehaviourStore.snapshot
        """
        interactions, impressions, users = tables
        of_tables = {
            EXPOSURE_VIEW: item_exposure(impressions, interactions, as_of, self.features, windows_from=windows_from)
        }
        if self.features.attribute_fields:
            of_tables[ATTRIBUTES_VIEW] = user_attributes(users, as_of, self.features)
        self._write_views(of_tables, catalogue, as_of, windows_from)
        begun = windows_from or as_of
        if same_neighbours and begun < as_of:
            partial = self.neighbours(as_of).with_suffix(".tmp.npz")
            shutil.copyfile(self.neighbours(begun), partial)
            partial.replace(self.neighbours(as_of))
            return
        found = Neighbours(*(of(interactions, catalogue, begun) for of in (cooccurrence, regression, successors)))
        by = popularity_by(interactions, users, begun, self.features)
        write_neighbours(self.neighbours(as_of), found, by, catalogue)

    def _write_views(
        self,
        of_tables: Mapping[str, pl.DataFrame],
        catalogue: Catalogue,
        as_of: datetime,
        windows_from: datetime | None,
    ) -> None:
        """Those of the days, and those that were made of whole tables."""
        new = self.folder / DAILY / "snapshot"
        snapshot(self._days, catalogue, as_of, new, windows_from=windows_from)
        for view, frame in of_tables.items():
            (new / view).mkdir()
            frame.write_parquet(new / view / "0000.parquet")
        for of_view in new.iterdir():
            folder = self.folder / of_view.name
            folder.mkdir(exist_ok=True)
            # Of a snapshot that was not finished.
            for path in folder.glob(f"{_stamp(as_of)}-*"):
                path.unlink()
            for path in of_view.iterdir():
                path.rename(folder / f"{_stamp(as_of)}-{path.name}")
        shutil.rmtree(new)

    def forget(self, who: Who) -> dict[str, int]:
        """Remove every snapshot when one of them knows any of these users, and the days on which they did anything.

        Returns how many of each; the next training computes what is missing.
        """
        days = self._days.forget(who)
        shutil.rmtree(self.folder / DAILY / "snapshot", ignore_errors=True)
        files = [path for view in USER_VIEWS for path in (self.folder / view).glob("*.parquet")]
        known = days > 0 or any(who.among(pl.read_parquet(path, columns=[USER_ID])[USER_ID]) for path in files)
        moments = len(list((self.folder / COOCCURRENCE).glob("*.npz"))) if known else 0
        if known:
            self._forget_all()
            (self.folder / COMPUTED_FROM).unlink(missing_ok=True)
        return {"days": days, "snapshots": moments}

    def moments(self) -> list[datetime]:
        """Those that there is a snapshot of, in order."""
        return sorted(
            _moment(path.stem) for path in (self.folder / COOCCURRENCE).glob("*.npz") if ".tmp" not in path.name
        )

    def forget_other_data(self, known: Mapping[datetime, str]) -> None:
        """Drop every snapshot that was computed from other data than is known of its moment; the days stay.

        known  moment → hash (features.known_before): of moments that there is no snapshot of, what it will be made of
        """
        mark = self.folder / COMPUTED_FROM
        before: dict[str, str] = {}
        # Not there, or of another version.
        with suppress(FileNotFoundError, msgspec.DecodeError):
            before = msgspec.json.decode(mark.read_bytes(), type=dict[str, str])
        now = {_stamp(moment): found for moment, found in known.items()}
        for moment in self.moments():
            if before.get(stamp := _stamp(moment), "") != now.get(stamp):
                self._drop(moment)
        put(mark, msgspec.json.encode(now))

    def keep_latest(self, moments: Sequence[datetime]) -> None:
        """Of the snapshots beyond KEPT drop those that have not been asked for longest; `moments` are asked for now."""
        for moment in moments:
            os.utime(self.neighbours(moment))
        by_use = sorted(self.moments(), key=lambda moment: self.neighbours(moment).stat().st_mtime_ns)
        for moment in by_use[: -max(KEPT, 2 * len(moments))]:
            self._drop(moment)

    def ids(self, view: str, key: str, as_of: datetime) -> pl.LazyFrame | None:
        """The ids that the snapshot of a moment has rows of in a view; None where there is no such snapshot."""
        files = sorted((self.folder / view).glob(f"{_stamp(as_of)}-*"))
        return pl.scan_parquet(files).select(key) if files else None

    def _drop(self, moment: datetime) -> None:
        # The neighbours first: a moment without them counts as missing, whatever else is left of it.
        self.neighbours(moment).unlink()
        for view in VIEWS:
            for path in (self.folder / view).glob(f"{_stamp(moment)}-*"):
                path.unlink()

    def _forget_all(self) -> None:
        for view in (COOCCURRENCE, *VIEWS):
            if (self.folder / view).exists():
                shutil.rmtree(self.folder / view)


def _stamp(as_of: datetime) -> str:
    return as_of.astimezone(UTC).strftime(STAMP)


def _moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
