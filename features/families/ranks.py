"""How a candidate stands among those of the request: what is much for one user is little for another."""

from typing import Final

import numpy as np

from features.families.family import NOW, Feature, Project, Request
from recsys.state import Floats

SOURCE: Final = "the candidates"


def features(project: Project) -> tuple[Feature, ...]:
    """The same for every project."""
    return (
        Feature("cooccurrence_rank", "candidates that go with the history more strongly", "items", NOW, SOURCE),
        Feature("popularity_rank", "candidates with more users in the last 28 days", "items", NOW, SOURCE),
    )


def values(request: Request) -> Floats:
    """Of each candidate."""
    strength = request.cooccurrence[0][request.candidates]
    popularity = request.items.popularity[request.candidates]
    return np.stack([_above(strength), _above(popularity)], axis=1)


def _above(values: Floats) -> Floats:
    """How many are larger than each; equal ones have the same rank."""
    found: Floats = np.searchsorted(np.sort(-values), -values).astype(np.float64)
    return found
