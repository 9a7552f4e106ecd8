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

from features.daily.day import partials
from features.daily.events import keyed_events, no_events
from features.daily.files import scan_partials, write_partials
from features.daily.keys import KEYS, USER_KEY, hashing, sums_by_key
from features.daily.log import ONE_DAY, DailyLog, midnight
from features.daily.order import by_user, latest_first
from features.daily.parallel import side_by_side
from features.daily.partials import Partials, merged_pairs, together
from features.featureset import FeatureSet
from recsys.errors import FeatureStoreError
from recsys.schema import ITEM_ID, TIMESTAMP, USER_ID

FORMAT = "3"
MERGE_DAYS = 28  # fewer are read about as fast one by one
SAMPLED_KEYS = KEYS // 64


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
        side_by_side(lambda day: self._compute(day, self._day(day, versions)), missing)
        self._merge(whole, versions)
        return len(missing)

    def _compute(self, day: date, path: Path) -> None:
        found = partials(keyed_events(self.log, day, self.log.scan(day), self.types), self.types)
        tables = (found.items, found.users, found.pairs, found.events)
        write_partials(path, [[table.collect() for table in tables]])

    def between(self, since: datetime | None, until: datetime) -> Partials:
        """What the interactions from `since` (None: the first) to before `until` say; a key may have several rows.

        Whole days come from their files, the rest of a day from the log.
        Raises FeatureStoreError when a whole day has not been computed.
        """
        versions = self._versions()
        # In the order of time, which saves a sort.
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
        for day in self._whole(versions, until):
            if day >= first:
                path = self._day(day, versions)
                if not path.exists():
                    raise FeatureStoreError(f"{path}: the day has not been aggregated; call update before")
                parts.append(scan_partials(path))
        if first <= last and midnight(last) < until:
            parts.append(self._part_of_day(midnight(last), until))
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
        sample = together([part.of_users(0, SAMPLED_KEYS) for part in parts])
        rows = sum(table.select(pl.len()).collect().item() for table in (sample.pairs, sample.events))
        if 0 < 2 * len(merged_pairs(sample)) <= rows:
            write_partials(self._merged(since[-1] + ONE_DAY, versions), _summed(together(parts)))

    def _part_of_day(self, start: datetime, end: datetime) -> Partials:
        """From the log: `start` and `end` lie in one day, or are equal."""
        day = start.astimezone(UTC).date()
        if start == end or not self.log.version(day):
            return partials(no_events(), self.types)
        rows = self.log.scan(day).filter(pl.col(TIMESTAMP).is_between(start, end, closed="left"))
        return partials(keyed_events(self.log, day, rows, self.types), self.types)

    def _versions(self) -> dict[date, str]:
        """Of each day of the log, in order."""
        constant = f"{FORMAT} {hashing()} {self.types}"
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
    none = found.events.head(0).collect()
    items = sums_by_key(found.items, ITEM_ID)
    for first, last in found.ranges():
        part = found.of_users(first, last)
        users = sums_by_key(part.users, USER_ID).sort(USER_KEY)
        # The other way round: as the events of a day are, of a user the latest last.
        pairs = latest_first(merged_pairs(part), "last_at").reverse().pipe(by_user)
        yield items, users, pairs, none
        items = items.clear()


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()
