"""What the user has been doing in the last hour, and the session that the request belongs to, if it does to one."""

from typing import Final

import numpy as np

from features.families.family import NOW, Feature, Project, Request
from recsys.state import Floats

SOURCE: Final = "recent interactions"
AN_HOUR_S: Final = 3_600.0
BREAK_S: Final = 1_800.0
"""A session is over when nothing happened for so long."""


def features(project: Project) -> tuple[Feature, ...]:
    """The same for every project."""
    return (
        Feature("user_events_1h", "interactions of the user, at most 50", "interactions", "1 hour", SOURCE),
        Feature("session_events", "interactions without a break of half an hour", "interactions", NOW, SOURCE),
        Feature("session_minutes", "time since the first of them", "minutes", NOW, SOURCE),
        Feature("session_times_chosen", "those of them with the candidate", "interactions", NOW, SOURCE),
    )


def session_events(request: Request) -> int:
    """How many of the user's last interactions are of the session of the request."""
    at = request.user.recent.at
    pauses = np.concatenate([[request.now], at])[:-1] - at
    breaks = np.flatnonzero(pauses > BREAK_S)
    return int(breaks[0]) if len(breaks) else len(at)


def values(request: Request) -> Floats:
    """Of each candidate."""
    recent = request.user.recent
    last_hour = np.count_nonzero(recent.at > request.now - AN_HOUR_S)
    events = session_events(request)
    minutes = (request.now - recent.at[events - 1]) / 60 if events else 0.0
    chosen = np.count_nonzero(request.candidates[:, None] == recent.items[:events], axis=1)
    found = np.empty((len(request.candidates), 4))
    found[:, 0], found[:, 1], found[:, 2], found[:, 3] = last_hour, events, minutes, chosen
    return found
