"""Reports of drift, as if they had been measured."""

from datetime import UTC, date, datetime
from typing import Any

from recsys.drift import Day, DriftReport, Figure, Kind, Level, Place, Span, Topic
from tests.training.project import at

MEASURED_AT = datetime(2024, 5, 1, tzinfo=UTC)


def figure(kind: Kind, name: str, level: Level, value: float = 0.5) -> Figure:
    return Figure(kind=kind, name=name, value=value, chance=0.05, level=level, before=0.1, now=0.3)


def report_of(*topics: tuple[str, Level], told: list[str] | None = None, **fields: Any) -> DriftReport:
    """Of figures of topics, or of those among the fields."""
    values: dict[str, Any] = {
        "measured_at": MEASURED_AT,
        "champion": "made",
        "reference": Span(at(60), at(88)),
        "latest": Span(at(110), at(117)),
        "features_of": "computed",
        "figures": [figure("topics", name, level) for name, level in topics],
        "unmeasured": {},
        "days": [],
        "weeks": [],
        "topics": [],
        "places": [],
        "told": told or [],
    }
    return DriftReport(**values | fields)


def full_report() -> DriftReport:
    """With something of each kind."""
    figures = [
        figure("features", "item_users_7d", "alert"),
        figure("scores", "scores", "note", 0.2),
        figure("clicks", "clicks", "alert", -0.4),
        figure("unknown_users", "unknown_users", "ok", 0.01),
        figure("topics", "lamps", "alert"),
        figure("topics", "mugs & <cups>", "ok", 0.02),
        figure("feedback", "toys: value of rating", "note", 0.15),
    ]
    return report_of(
        figures=figures,
        unmeasured={"unknown users and items": "the log is short"},
        days=[Day(date(2024, 4, day), 10, day, 20, 1) for day in (1, 2, 3)],
        weeks=[date(2024, 4, 1), date(2024, 4, 8)],
        topics=[Topic("lamps", 3, [0.1, 0.3]), Topic("mugs & <cups>", 3, [0.9, 0.7])],
        places=[Place(1, 500, 0.2, 0.2, 0.1, (0.08, 0.12)), Place(2, 500, 0.1, 0.1, 0.07, (0.05, 0.09))],
    )
