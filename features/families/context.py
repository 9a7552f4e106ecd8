"""The moment of the request."""

from typing import Final

import numpy as np

from features.families.family import NOW, Feature, Project, Request
from recsys.state import SECONDS_A_DAY, Floats

SECONDS_AN_HOUR: Final = 3_600.0
FIRST_MONDAY: Final = 4 * SECONDS_A_DAY
"""After the epoch, which was a Thursday."""


def features(project: Project) -> tuple[Feature, ...]:
    """The same for every project."""
    return (
        Feature("hour", "hour of the day, UTC", "hours, 0 to 24", NOW, "the clock"),
        Feature("weekday", "day of the week, UTC: 0 = Monday", "0 to 6", NOW, "the clock"),
    )


def values(request: Request) -> Floats:
    """The same for all candidates."""
    hour = request.now % SECONDS_A_DAY / SECONDS_AN_HOUR
    weekday = (request.now - FIRST_MONDAY) // SECONDS_A_DAY % 7
    return np.array([hour, weekday])
