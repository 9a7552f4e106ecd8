"""The families of behaviour features, a file each: what they are called, what they mean, and how they are computed.

A family is a module with `features` and `values`. To add a feature, put it into both of its family, in the same place.
"""

from typing import Final

from features.families import affinity, attribute, context, crosses, exposure, item, profile, ranks, session, user
from features.families.family import Family

FAMILIES: Final[tuple[Family, ...]] = (
    item,
    attribute,
    exposure,
    user,
    profile,
    session,
    context,
    crosses,
    affinity,
    ranks,
)
"""In the order of their columns in the matrix."""
