"""What each whole day of a log adds to the features, computed once; and the sum of many days.

Reads   the DailyLog
Writes  FOLDER/days/DAY-VERSION/    partials of the day
        FOLDER/merged/DAY-VERSION/  partials of all days before DAY

A version is a hash of all that went in, and of the code. A day with late interactions has another one, and so have the
sums after it: what was there is found no more, and computed anew.
"""

import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cache
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
from recsys.forgetting.who import Who
from recsys.schema import ITEM_ID, TIMESTAMP, USER_ID

MERGE_DAYS = 28  # fewer are read about as fast one by one
SAMPLED_KEYS = KEYS // 64


class DailyAggregates:
    """The partials of one log, as it was at the last update. One process at a time updates a folder."""

    def __init__(self, log: DailyLog, folder: Path, weights: Mapping[str, float]) -> None:
        """weights: of each interaction type; when their order changes everything is computed anew."""
        self.log = log
        self.folder = folder
        self.features = FeatureSet.of(weights)
        # Of types with equal weights the first by name, so that the same log gives the same history.
        self.types = sorted(weights, key=lambda name: (-weights[name], name))
        self.weights = {name: weights[name] for name in self.types}
        self._versions: dict[date, str] = {}

    def update(self, until: datetime) -> int:
        """Compute every whole day before `until` that is not there; returns how many were not.

        Raises DataError when an interaction is of a type without a weight.
        """
        self._versions = self._read_versions()
        self._forget()
        whole = self._whole(until)
        missing = [day for day in whole if not self._day(day).exists()]
        side_by_side(self._compute, missing)
        self._merge(whole)
        return len(missing)

    def forget(self, who: Who) -> int:
        """Remove the days of the log that know any of these users, and all that was computed of them and of earlier
        logs; returns how many days.
        """
        days = self.log.forget(who)
        self._versions = self._read_versions()
        self._forget()
        return len(days)

    def _compute(self, day: date) -> None:
        found = partials(keyed_events(self.log, day, self.log.scan(day), self.types), self.types)
        tables = {"items": found.items, "users": found.users, "events": found.events}
        write_partials(self._day(day), [{name: table.collect() for name, table in tables.items()}])

    def between(self, since: datetime | None, until: datetime) -> Partials:
        """What the interactions from `since` (None: the first) to before `until` say; a key may have several rows.

        Whole days come from their files, the rest of a day from the log.
        Raises FeatureStoreError when a whole day has not been computed.
        """
        self._versions = self._versions or self._read_versions()
        before, paths = [], []
        first, last = date.min, until.astimezone(UTC).date()
        if since is None:
            merged = self._latest_merged(self._whole(until))
            if merged is not None:
                first = merged
                paths.append(self._merged(merged))
        else:
            first = since.astimezone(UTC).date()
            if since > midnight(first):
                first += ONE_DAY
                before.append(self._part_of_day(since, min(midnight(first), until)))
        for day in self._whole(until):
            if day >= first:
                path = self._day(day)
                if not path.exists():
                    raise FeatureStoreError(f"{path}: the day has not been aggregated; call update before")
                paths.append(path)
        after = self._part_of_day(midnight(last) if first <= last else until, until)
        return together([*before, scan_partials(paths, after)])

    def _merge(self, days: list[date]) -> None:
        """Sum all days when the sum has at most half of the rows that it is made of.

        So each sum costs no more than twice the rows that it saves for ever after, and there is none where users
        hardly come back to an item. Earlier sums stay, for moments before the last.
        """
        merged = self._latest_merged(days)
        since = [day for day in days if merged is None or day >= merged]
        if len(since) < MERGE_DAYS:
            return
        before = [] if merged is None else [self._merged(merged)]
        found = scan_partials(before + [self._day(day) for day in since], partials(no_events(), self.types))
        sample = found.of_users(0, SAMPLED_KEYS)
        rows = sum(table.select(pl.len()).collect().item() for table in (sample.pairs, sample.events))
        if 0 < 2 * len(merged_pairs(sample, self.weights)) <= rows:
            write_partials(self._merged(since[-1] + ONE_DAY), self._summed(found))

    def _summed(self, found: Partials) -> Iterator[dict[str, pl.DataFrame]]:
        items = sums_by_key(found.items.collect(), ITEM_ID)
        for first, last in found.ranges():
            part = found.of_users(first, last)
            users = sums_by_key(part.users.collect(), USER_ID).sort(USER_KEY)
            # The other way round: as the events of a day are, of a user the latest last.
            pairs = latest_first(merged_pairs(part, self.weights), "last_at").reverse().pipe(by_user)
            yield {"items": items, "users": users, "pairs": pairs}
            items = items.clear()

    def _part_of_day(self, start: datetime, end: datetime) -> Partials:
        """From the log: `start` and `end` lie in one day, or are equal."""
        day = start.astimezone(UTC).date()
        if start == end or not self.log.version(day):
            return partials(no_events(), self.types)
        rows = self.log.scan(day).filter(pl.col(TIMESTAMP).is_between(start, end, closed="left"))
        return partials(keyed_events(self.log, day, rows, self.types), self.types)

    def _read_versions(self) -> dict[date, str]:
        """Of each day of the log, in order."""
        constant = f"{_code()} {hashing()} {self.types}"
        return {day: _hash(f"{constant} {self.log.version(day)}") for day in self.log.days()}

    def _whole(self, until: datetime) -> list[date]:
        return [day for day in self._versions if midnight(day + ONE_DAY) <= until]

    def _day(self, day: date) -> Path:
        return self.folder / "days" / f"{day}-{self._versions[day]}"

    def _merged(self, until: date) -> Path:
        before = " ".join(version for day, version in self._versions.items() if day < until)
        return self.folder / "merged" / f"{until}-{_hash(f'{self.weights} {before}')}"

    def _latest_merged(self, days: list[date]) -> date | None:
        """Before which day the latest sum ends that holds no other days than these."""
        ends = [_day_of(path) for path in self.folder.glob("merged/*") if path == self._merged(_day_of(path))]
        return max((end for end in ends if end - ONE_DAY in days), default=None)

    def _forget(self) -> None:
        """Remove what was computed from a log that is no more."""
        current = {self._day(day) for day in self._versions}
        for path in {*self.folder.glob("days/*")} - current:
            shutil.rmtree(path)
        for path in self.folder.glob("merged/*"):
            if path != self._merged(_day_of(path)):
                shutil.rmtree(path)


@cache
def _code() -> str:
    """Differs when what computes the partials does."""
    return _hash("".join(path.read_text("utf-8") for path in sorted(Path(__file__).parents[1].rglob("*.py"))))


def _day_of(path: Path) -> date:
    return date.fromisoformat(path.name[: len(str(date.min))])


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()
