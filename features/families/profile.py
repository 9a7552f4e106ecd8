"""What the users table says of a user: the columns that recsys.toml names under features.user_attributes."""

from typing import Final

import numpy as np

from features.families.attribute import described
from features.families.family import Feature, Project, Request
from recsys.state import SECONDS_A_DAY, Floats

SOURCE: Final = "users"


def features(project: Project) -> tuple[Feature, ...]:
    """One for each attribute."""
    return tuple(described("user", name, kind, SOURCE) for name, kind in project.user_attributes)


def values(request: Request) -> Floats:
    """The same for all candidates."""
    attributes, known = request.project.user_attributes, request.user.attributes
    if known is None:
        return np.full(len(attributes), np.nan)
    is_time = np.array([kind == "timestamp" for _, kind in attributes], dtype=np.bool_)
    return np.where(is_time, (request.now - known) / SECONDS_A_DAY, known)
