"""Whether a candidate is of a category that the user cares for, in the long run and right now."""

from typing import Final

import numpy as np

from features.families.family import NOW, Feature, Project, Request
from features.families.session import session_events
from recsys.state import Floats

SOURCE: Final = "interactions and items.category"


def features(project: Project) -> tuple[Feature, ...]:
    """The same for every project; not known where items have no category."""
    return (
        Feature("category_affinity", "its category among all interest of the user", "share", "halves a month", SOURCE),
        Feature("session_category_share", "its category among the session's events", "share", NOW, SOURCE),
    )


def values(request: Request) -> Floats:
    """Of each candidate."""
    of_items = request.items.categories
    found = np.full((len(request.candidates), 2), np.nan)
    if of_items is None:
        return found
    category, affinity = of_items[request.candidates], request.user.affinity
    has_one = category >= 0
    if len(affinity.weights):
        weights = (category[:, None] == affinity.categories) @ affinity.weights
        found[has_one, 0] = weights[has_one] / affinity.weights.sum()
    if events := session_events(request):
        items = request.user.recent.items[:events]
        chosen = np.where(items >= 0, of_items[items], -1)
        found[has_one, 1] = (category[has_one, None] == chosen).mean(axis=1)
    return found
