"""tables/drift.json: what has moved between the days that the champion learned from and the latest ones.

Written by `recsys drift` and by each retraining (training.drift), shown by the server under /metrics.
"""

from datetime import date, datetime
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from recsys.errors import DataError

Kind = Literal["features", "scores", "clicks", "unknown_users", "unknown_items", "topics", "feedback"]
Level = Literal["ok", "note", "alert"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class Span(msgspec.Struct, frozen=True):
    """From one moment up to, and without, another."""

    since: datetime
    until: datetime


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """How far one thing has moved.

    value   a population stability index; of clicks how many more there are than expected, as a share of those
    chance  what hardly ever comes about where nothing has moved, with so few users: a smaller value is "ok"
    before  the mean or the share in the reference, and `now` that in the latest days
    """

    kind: Kind
    name: str
    value: float
    chance: float
    level: Level
    before: float
    now: float

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.kind}/{self.name}"

    def __str__(self) -> str:
        named = self.kind.replace("_", " ") + (f" {self.name!r}" if self.name != self.kind else "")
        measure = f"{self.value:+.1%}" if self.kind == "clicks" else f"index {self.value:.2f}"
        return f"{named}: {measure}, from {self.before:.4g} to {self.now:.4g}"


class Day(msgspec.Struct, frozen=True):
    """Who and what was there on a day, and how many of them never before."""

    day: date
    users: int
    unknown_users: int
    items: int
    unknown_items: int


class Topic(msgspec.Struct, frozen=True):
    """Items whose texts are alike, by their most telling words, and week by week their share of what users did."""

    name: str
    items: int
    shares: list[float]


class Place(msgspec.Struct, frozen=True):
    """One place of the lists that were shown, 1 = first, and the share of them of which that place was chosen.

    shown     lists of the latest days
    before    in the reference
    expected  of the latest, by the reference and, where features were logged, by how the items were scored
    now       in the latest days, with its 95 % interval
    """

    place: int
    shown: int
    before: float
    expected: float
    now: float
    interval: tuple[float, float]


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """All of it.

    features_of  "logged": features as they were served; "computed": made anew for both periods; None: not measured
    unmeasured   what could not be measured, and why
    weeks        when those of the topics begin
    told         keys of the alerts that the webhook has been told
    """

    measured_at: datetime
    champion: str | None
    reference: Span
    latest: Span
    features_of: Literal["logged", "computed"] | None
    figures: list[Figure]
    unmeasured: dict[str, str]
    days: list[Day]
    weeks: list[date]
    topics: list[Topic]
    places: list[Place]
    told: list[str] = []

    def at_level(self, level: Level) -> list[Figure]:
        """The figures of a level, those that moved most first."""
        return sorted((one for one in self.figures if one.level == level), key=lambda one: -abs(one.value))

    @property
    def alerts(self) -> list[Figure]:
        return self.at_level("alert")


def read_drift(path: Path) -> DriftReport | None:
    """The latest; None when nothing was measured yet. Raises DataError for what is no such file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=DriftReport)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: {error}; remove the file, `recsys drift` writes it anew") from error
