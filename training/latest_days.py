"""The latest days of the logs against as many days before, several times: does the log look as it always did?

What goes beyond a limit of [checks] is an error if it is new, and a warning where it was always so: a shop with one
large customer is not broken.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import polars as pl

from recsys.config import Checks
from recsys.schema import EVENT_TYPE, ITEM_ID, ITEMS, REQUEST_ID, TIMESTAMP, USER_ID
from training.checks_report import Finding


@dataclass(frozen=True)
class Latest:
    """The latest days of the logs, and the periods of as many days before them.

    label_types  the event types that are labels
    """

    interactions: pl.DataFrame
    impressions: pl.DataFrame | None
    label_types: tuple[str, ...]
    checks: Checks

    @cached_property
    def until(self) -> datetime | None:
        last = self.interactions[TIMESTAMP].max()
        return last if isinstance(last, datetime) else None

    @property
    def since(self) -> datetime | None:
        return None if self.until is None else self.until - timedelta(days=self.checks.days)

    def periods(self, rows: pl.DataFrame) -> list[pl.DataFrame]:
        """The rows of the latest days and, where the log reaches back so far, of each whole period before, the latest
        first."""
        first, until = self.interactions[TIMESTAMP].min(), self.until
        if until is None or not isinstance(first, datetime):
            return []
        span = timedelta(days=self.checks.days)
        ends = [until - back * span for back in range(self.checks.periods + 1)]
        return [
            rows.filter(pl.col(TIMESTAMP) > end - span, pl.col(TIMESTAMP) <= end)
            for at, end in enumerate(ends)
            if at == 0 or end - span >= first
        ]

    def findings(self) -> Iterator[Finding]:
        """All that is not as expected."""
        checks = self.checks
        for table, rows in (("interactions", self.interactions), ("impressions", self.impressions)):
            if rows is not None:
                yield from self._volume(table, self.periods(rows))
        periods = self.periods(self.interactions)
        if periods and periods[0].height >= checks.enough_rows:
            recent, before = periods[0], periods[1:]
            yield from self._gaps(recent, before)
            yield from self._labels(recent, before)
            for check, share, limit in (
                ("repeated events", repeated_share, checks.max_repeated_share),
                ("share of one user", lambda rows: _largest_share(rows[USER_ID]), checks.max_user_share),
                ("share of one item", lambda rows: _largest_share(rows[ITEM_ID]), checks.max_item_share),
            ):
                yield from _share(check, share(recent), [share(rows) for rows in before], limit)
        shown = [] if self.impressions is None else self.periods(self.impressions)
        if shown and shown[0].height >= checks.enough_rows:
            shares = [_shown_share(rows) for rows in shown]
            yield from _share("share of impressions with one item", shares[0], shares[1:], checks.max_shown_share)

    def _volume(self, table: str, periods: list[pl.DataFrame]) -> Iterator[Finding]:
        counts = [rows.height for rows in periods]
        if len(counts) < 2:
            return
        usual = float(pl.Series(counts[1:]).median() or 0)  # type: ignore[arg-type]
        low, high = usual * self.checks.min_volume, usual * self.checks.max_volume
        if usual >= self.checks.enough_rows and not low <= counts[0] <= high:
            yield Finding(
                "error",
                f"volume of {table}",
                f"{counts[0]:,} rows in the latest {self.checks.days} days",
                f"{low:,.0f} to {high:,.0f}, for usual are {usual:,.0f}",
            )

    def _gaps(self, recent: pl.DataFrame, before: list[pl.DataFrame]) -> Iterator[Finding]:
        longest, limit = _longest_gap(recent), timedelta(hours=self.checks.max_gap_hours)
        if longest > limit:
            was = max(map(_longest_gap, before), default=timedelta(0))
            yield Finding(
                "warning" if 2 * was >= longest or not before else "error",
                "time gap",
                f"{longest.total_seconds() / 3600:.0f} hours without an event",
                f"at most {self.checks.max_gap_hours:g}; the longest before was {was.total_seconds() / 3600:.0f}",
            )

    def _labels(self, recent: pl.DataFrame, before: list[pl.DataFrame]) -> Iterator[Finding]:
        earlier = sum(rows.height for rows in before)
        if earlier < self.checks.enough_rows:
            return
        was = sum(self._label_count(rows) for rows in before) / earlier
        rate, most = self._label_count(recent) / recent.height, self.checks.max_label_change
        if was and not was / most <= rate <= was * most:
            yield Finding(
                "error",
                "label rate",
                f"{rate:.2%} of the events are of {', '.join(self.label_types)}",
                f"{was / most:.2%} to {was * most:.2%}, for it was {was:.2%}",
            )

    def _label_count(self, rows: pl.DataFrame) -> int:
        return rows.filter(pl.col(EVENT_TYPE).is_in(list(self.label_types))).height


def repeated_share(rows: pl.DataFrame) -> float:
    """Rows that say the same of the same user and item as another one of the same minute, as a share of all."""
    same = [USER_ID, ITEM_ID, EVENT_TYPE, REQUEST_ID]
    distinct = rows.select(*same, pl.col(TIMESTAMP).dt.truncate("1m")).n_unique()
    return 1 - distinct / rows.height if rows.height else 0.0


def _share(check: str, found: float, before: list[float], limit: float) -> Iterator[Finding]:
    """Too large a share is an error where no earlier period had half as much."""
    if found > limit:
        was = max(before, default=0.0)
        yield Finding(
            "error" if before and 2 * was < found else "warning",
            check,
            f"{found:.1%}",
            f"at most {limit:.1%}; the most before was {was:.1%}",
        )


def _largest_share(ids: pl.Series) -> float:
    if not len(ids):
        return 0.0
    return float(ids.value_counts(sort=True)["count"][0]) / len(ids)


def _shown_share(impressions: pl.DataFrame) -> float:
    if not impressions.height:
        return 0.0
    shown = impressions.select(pl.col(ITEMS).list.unique()).explode(ITEMS).drop_nulls()
    return float(shown[ITEMS].value_counts(sort=True)["count"][0]) / impressions.height if shown.height else 0.0


def _longest_gap(rows: pl.DataFrame) -> timedelta:
    found = rows[TIMESTAMP].sort().diff().max()
    return found if isinstance(found, timedelta) else timedelta(0)
