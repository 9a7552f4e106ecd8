"""What a user bought of late, out of what is kept of a user."""

import numpy as np

from features.history import RECENT_DAYS, RECENT_EVENTS
from recsys.config import ExcludeBought
from recsys.state import SECONDS_A_DAY, Positions, UserState


def bought(user: UserState, settings: ExcludeBought, now: float) -> Positions:
    """The items that the user had an interaction of these types with, since so many days before `now`: int64 (n,).

    Exact where the last interactions reach back that far. Before them a history knows of each item the strongest type
    of interaction and the moment of the last one of any type: what was bought then and looked at since is still out.
    """
    days = np.inf if settings.within_days is None else settings.within_days
    since = now - days * SECONDS_A_DAY
    recent = user.recent
    is_bought = np.isin(recent.types, settings.types) & (recent.at >= since) & (recent.items >= 0)
    found = recent.items[is_bought]
    begins = recent.at.min(initial=np.inf) if len(recent.at) >= RECENT_EVENTS else now - RECENT_DAYS * SECONDS_A_DAY
    if begins <= since:
        return np.unique(found)
    older = np.isin(user.types, settings.types) & (user.last_at >= since)
    return np.unique(np.concatenate([found, user.history[older]]))
