"""How often an item was shown, and what share of that led to a choice, smoothed: most items are shown seldom.

What an interaction's request_id names led to it. Where in a list the item stood is not taken into account, and whoever
asks for five hundred items shows five hundred. Nothing is known in a project that logged no impressions.
"""

from typing import Final

import numpy as np

from features.families.family import Feature, Project, Request
from features.fields import CHOSEN_DAYS, EXPOSURE_DAYS, chosen_of, named, windowed
from recsys.state import Floats

IMPRESSIONS: Final = "impressions"
BOTH: Final = "impressions and interactions"

PRIOR_SHOWN: Final = 50.0
"""So many impressions at the rate of all items together are added to those of each."""


def features(project: Project) -> tuple[Feature, ...]:
    """How often, and a rate for each interaction type."""
    shown = [
        Feature(windowed("item_shown", days), "impressions that showed it", "impressions", f"{days} days", IMPRESSIONS)
        for days in EXPOSURE_DAYS
    ]
    rates = [
        Feature(
            windowed(f"item_ctr_{named(name)}", CHOSEN_DAYS),
            f"impressions that led to {name}, smoothed",
            "share",
            f"{CHOSEN_DAYS} days",
            BOTH,
        )
        for name in project.types
    ]
    return (*shown, *rates)


def values(request: Request) -> Floats:
    """Of each candidate."""
    exposure, types = request.items.exposure, request.project.types
    found = np.full((len(request.candidates), len(EXPOSURE_DAYS) + len(types)), np.nan)
    shown = windowed("shown", CHOSEN_DAYS)
    if exposure is None or exposure.total(shown) == 0:
        return found
    for at, days in enumerate(EXPOSURE_DAYS):
        found[:, at] = exposure.column(windowed("shown", days))[request.candidates]
    times_shown = exposure.column(shown)[request.candidates]
    for at, name in enumerate(types, len(EXPOSURE_DAYS)):
        chosen = windowed(chosen_of(name), CHOSEN_DAYS)
        prior = exposure.total(chosen) / exposure.total(shown)
        times_chosen = exposure.column(chosen)[request.candidates]
        found[:, at] = smoothed_rate(times_chosen, times_shown, prior)
    return found


def smoothed_rate(chosen: Floats, shown: Floats, prior: float) -> Floats:
    """Choices an impression, with PRIOR_SHOWN more impressions at the rate `prior`: float64 of the shape of both."""
    rate: Floats = (chosen + PRIOR_SHOWN * prior) / (shown + PRIOR_SHOWN)
    return rate
