"""What is compared: the latest days of the log, and the last days that the champion learned from."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from recsys.config import Drift
from recsys.drift import Span
from recsys.errors import DataError
from recsys.schema import TIMESTAMP


@dataclass(frozen=True)
class Periods:
    """Both, and when the log begins and ends."""

    first: datetime
    reference: Span
    latest: Span

    @classmethod
    def of(cls, settings: Drift, first: datetime, last: datetime, trained_until: datetime | None) -> "Periods":
        """first, last    of the log
        trained_until  of the champion; None: there is none, and the reference ends where the latest days begin

        Raises DataError when the log is too short.
        """
        latest = last - timedelta(days=settings.days)
        until = latest if trained_until is None else min(latest, trained_until)
        since = max(until - timedelta(days=settings.reference_days), first)
        if since >= until:
            raise DataError(
                f"interactions: they run from {first} to {last}, and nothing is older than the latest "
                f"{settings.days} days to compare them with; lower days under [drift], or wait for more"
            )
        return cls(first, Span(since, until), Span(latest, last + timedelta(microseconds=1)))


def within(rows: pl.DataFrame, span: Span) -> pl.DataFrame:
    """The rows of a time."""
    return rows.filter(pl.col(TIMESTAMP) >= span.since, pl.col(TIMESTAMP) < span.until)
