"""What each whole day of a log adds to the features, computed once; and the sum of many days.

Reads   the DailyLog
Writes  FOLDER/days/DAY-VERSION/    partials of the day
        FOLDER/merged/DAY-VERSION/  partials of all days before DAY

A version is a hash of all that went in. A day with late interactions has another one, and so have the sums after it:
what was there is found no more, and computed anew.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from hashlib import blake2b
from pathlib import Path

import polars as pl

from features.daily.files import scan_partials, write_partials
from features.daily.log import ONE_DAY, POSITION, DailyLog, midnight
from features.daily.partials import Partials, bucketed, bucketing, merged_pairs, partials, together
from features.featureset import FeatureSet
from features.history import LOGGED
from recsys.errors import DataError, FeatureStoreError
from recsys.schema import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID, UTC_MICROSECONDS, VALUE

FORMAT = "2"
MERGE_DAYS = 28  # fewer are read about as fast one by one
SAMPLED_BUCKETS = 16
COLUMNS = {
    USER_ID: pl.String(),
    ITEM_ID: pl.String(),
    EVENT_TYPE: pl.String(),
    TIMESTAMP: UTC_MICROSECONDS,
    VALUE: pl.Float64(),
}
LOGGED_A_DAY = 1 << 32


class DailyAggregates:
    """The partials of one log. One process at a time updates a folder."""

    def __init__(self, log: DailyLog, folder: Path, weights: Mapping[str, float]) -> None:
        """weights: of each interaction type; when their order changes everything is computed anew."""
        self.log = log
        self.folder = folder
        self.weights = dict(weights)
        self.features = FeatureSet.of(weights)
        # Of types with equal weights the first by name, as in features.aggregate.
        self.types = sorted(weights, key=lambda name: (-weights[name], name))

    def update(self, until: datetime) -> int:
        """Compute every whole day before `until` that is not there; returns how many were not.

        Raises DataError when an interaction is of a type without a weight.
        """
        versions = self._versions()
        self._forget(versions)
        whole = self._whole(versions, until)
        missing = [day for day in whole if not self._day(day, versions).exists()]
        for day in missing:
            found = partials(self._events(self.log.scan(day), day), self.types)
            tables = (found.items, found.users, found.pairs, found.recent)
            write_partials(self._day(day, versions), [[table.collect() for table in tables]])
        self._merge(whole, versions)
        return len(missing)

    def between(self, since: datetime | None, until: datetime) -> Partials:
        """What the interactions from `since` (None: the first) to before `until` say; a key may have several rows.

        Whole days come from their files, the rest of a day from the log.
        Raises FeatureStoreError when a whole day has not been computed.
        """
        versions = self._versions()
        parts = [self._part_of_day(until, until)]
        first, last = date.min, until.astimezone(UTC).date()
        if since is None:
            merged = self._latest_merged(self._whole(versions, until), versions)
            if merged is not None:
                first = merged
                parts.append(scan_partials(self._merged(merged, versions)))
        else:
            first = since.astimezone(UTC).date()
            if since > midnight(first):
                first += ONE_DAY
                parts.append(self._part_of_day(since, min(midnight(first), until)))
        if first <= last and midnight(last) < until:
            parts.append(self._part_of_day(midnight(last), until))
        for day in self._whole(versions, until):
            if day >= first:
                path = self._day(day, versions)
                if not path.exists():
                    raise FeatureStoreError(f"{path}: the day has not been aggregated; call update before")
                parts.append(scan_partials(path))
        return together(parts)

    def _merge(self, days: list[date], versions: Mapping[date, str]) -> None:
        """Sum all days when the sum has at most half of the rows that it is made of.

        So each sum costs no more than twice the rows that it saves for ever after, and there is none where users
        hardly come back to an item. Earlier sums stay, for moments before the last.
        """
        merged = self._latest_merged(days, versions)
        since = [day for day in days if merged is None or day >= merged]
        if len(since) < MERGE_DAYS:
            return
        before = [] if merged is None else [self._merged(merged, versions)]
        parts = [scan_partials(path) for path in before + [self._day(day, versions) for day in since]]
        sample = together([part.of_buckets(0, SAMPLED_BUCKETS) for part in parts]).pairs
        rows, distinct = pl.collect_all([sample.select(pl.len()), merged_pairs(sample).select(pl.len())])
        if 0 < 2 * distinct.item() <= rows.item():
            write_partials(self._merged(since[-1] + ONE_DAY, versions), _summed(together(parts)))

    def _part_of_day(self, start: datetime, end: datetime) -> Partials:
        """From the log: `start` and `end` lie in one day, or are equal."""
        day = start.astimezone(UTC).date()
        rows = pl.LazyFrame(schema={**COLUMNS, POSITION: pl.UInt32()})
        if start < end and self.log.version(day):
            rows = self.log.scan(day).filter(pl.col(TIMESTAMP).is_between(start, end, closed="left"))
        return partials(self._events(rows, day), self.types)

    def _events(self, rows: pl.LazyFrame, day: date) -> pl.DataFrame:
        logged = pl.col(POSITION).cast(pl.Int64) + day.toordinal() * LOGGED_A_DAY
        events = rows.select(
            *(pl.col(name).cast(kind) for name, kind in COLUMNS.items()), logged.alias(LOGGED)
        ).collect()
        if unknown := sorted(set(events[EVENT_TYPE].unique()) - set(self.types)):
            raise DataError(
                f"{self.log.path(day)}: found the types {unknown}, expected {sorted(self.types)}; "
                "add them to [interaction_types]"
            )
        return events

    def _versions(self) -> dict[date, str]:
        """Of each day of the log, in order."""
        constant = f"{FORMAT} {bucketing()} {self.types}"
        return {day: _hash(f"{constant} {self.log.version(day)}") for day in self.log.days()}

    @staticmethod
    def _whole(versions: Mapping[date, str], until: datetime) -> list[date]:
        return [day for day in versions if midnight(day + ONE_DAY) <= until]

    def _day(self, day: date, versions: Mapping[date, str]) -> Path:
        return self.folder / "days" / f"{day}-{versions[day]}"

    def _merged(self, until: date, versions: Mapping[date, str]) -> Path:
        before = " ".join(version for day, version in versions.items() if day < until)
        return self.folder / "merged" / f"{until}-{_hash(before)}"

    def _latest_merged(self, days: list[date], versions: Mapping[date, str]) -> date | None:
        """Before which day the latest sum ends that holds no other days than these."""
        ends = (day + ONE_DAY for day in reversed(days))
        return next((end for end in ends if self._merged(end, versions).exists()), None)

    def _forget(self, versions: Mapping[date, str]) -> None:
        """Remove what was computed from a log that is no more."""
        current = {self._day(day, versions) for day in versions}
        current |= {self._merged(day + ONE_DAY, versions) for day in versions}
        for path in {*self.folder.glob("days/*"), *self.folder.glob("merged/*")} - current:
            shutil.rmtree(path)


def _summed(found: Partials) -> Iterator[Sequence[pl.DataFrame]]:
    none = found.recent.head(0).collect()
    items = found.items.group_by(ITEM_ID).agg(pl.all().sum()).collect(engine="streaming")
    for first, last in found.ranges():
        part = found.of_buckets(first, last)
        users = part.users.group_by(USER_ID).agg(pl.exclude("bucket").sum()).collect(engine="streaming")
        pairs = merged_pairs(part.pairs).collect(engine="streaming")
        yield items, bucketed(users), bucketed(pairs), none
        items = items.clear()


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()
