"""The columns of the feature store: what is kept of items and of users, for the interaction types of a project.

Every field of items and users is a count, a sum, the earliest or the latest, so that whoever has a row can add to it
what came later; features.families make shares and means of them. A window of w days is called STEM_wd, all time STEM.
"""

import re
from collections.abc import Sequence
from typing import Final

from features.field import FLOAT32, FLOAT64, FLOATS, STRING, STRINGS, Field
from recsys.attributes import AttributeKind

WINDOWS_DAYS: Final = (1, 7, 28, 90)
SPEND_DAYS: Final = (28, 90)
WEIGHT_DAYS: Final = 28
NEW_USERS_DAYS: Final = (7, 28)

# An occasion is a moment at which a user interacted: a basket, a page view. Equal timestamps are one occasion.
HISTORY_FIELDS: Final = (
    Field("history_items", STRINGS, "distinct items, the latest first"),
    Field("history_occasions", FLOATS, "occasions with each of them"),
    Field("history_first_at", FLOATS, "first interaction with each, seconds"),
    Field("history_last_at", FLOATS, "last interaction with each, seconds"),
    Field("history_types", STRINGS, "interaction type of the highest weight with each"),
    Field("history_values", FLOATS, "sum of the values of the interactions with each"),
    Field("recent_items", STRINGS, "item of each interaction, the latest first"),
    Field("recent_types", STRINGS, "interaction type of each of them"),
    Field("recent_at", FLOATS, "when each of them was, seconds since the epoch"),
)

AFFINITY_FIELDS: Final = (
    Field("affinity_categories", STRINGS, "categories of the items chosen, by name"),
    Field("affinity_weights", FLOATS, "interest in each, halved every month"),
)

VALUES: Final = (
    Field("value_sum", FLOAT64, "sum of the values of the interactions"),
    Field("value_count", FLOAT64, "interactions that have a value"),
)
EXPOSURE_DAYS: Final = (7, 28)
CHOSEN_DAYS: Final = 28

TIMES: Final = (
    Field("first_at", FLOAT64, "first interaction, seconds since the epoch"),
    Field("last_at", FLOAT64, "last interaction, seconds since the epoch"),
)


def item_fields(types: Sequence[str]) -> tuple[Field, ...]:
    """What is kept of an item; what is a feature as it is comes first, up to `returned`."""
    return (
        *_in_windows("users", "distinct users"),
        *_of_types(types),
        Field(windowed("occasions", 28), FLOAT32, "occasions in the last 28 days"),
        Field(
            windowed("weight", WEIGHT_DAYS),
            FLOAT32,
            f"sum of the weights of the interactions in the last {WEIGHT_DAYS} days",
        ),
        *(
            Field(
                windowed("new_users", days),
                FLOAT32,
                f"users who chose it for the first time in the last {days} days",
            )
            for days in NEW_USERS_DAYS
        ),
        Field("returned", FLOAT32, "of its users those with it on more than one occasion"),
        *VALUES,
        *TIMES,
    )


def user_fields(types: Sequence[str]) -> tuple[Field, ...]:
    """What is kept of a user; what is a feature as it is comes first, up to `value_count`."""
    return (
        *_in_windows("occasions", "occasions"),
        *_of_types(types),
        Field("distinct_items", FLOAT32, "distinct items ever"),
        *(
            Field(
                windowed("value_sum", days),
                FLOAT64,
                f"sum of the values of the interactions in the last {days} days",
            )
            for days in SPEND_DAYS
        ),
        *VALUES,
        Field("value_sum_squares", FLOAT64, "sum of the squares of these values"),
        Field("pairs", FLOAT32, "distinct pairs of an occasion and an item"),
        *TIMES,
    )


def exposure_fields(types: Sequence[str]) -> tuple[Field, ...]:
    """What is kept of the impressions of an item: nothing of one that was not shown in the longest window."""
    shown = [
        Field(
            windowed("shown", days),
            FLOAT64,
            f"impressions that showed it in the last {days} days",
        )
        for days in EXPOSURE_DAYS
    ]
    chosen = [
        Field(
            windowed(chosen_of(name), CHOSEN_DAYS),
            FLOAT64,
            f"impressions of the last {CHOSEN_DAYS} days that an interaction of type {name} answered",
        )
        for name in types
    ]
    return (*shown, *chosen)


def attribute_fields(kinds: Sequence[tuple[str, AttributeKind]]) -> tuple[Field, ...]:
    """What is kept of a user's attributes; names become numbers only for a bundle."""
    return tuple(
        Field(
            "attribute_" + named(name),
            STRING if kind == "categorical" else FLOAT64,
            f"the {name} of the user" + ", seconds since the epoch" * (kind == "timestamp"),
        )
        for name, kind in kinds
    )


def windowed(stem: str, days: int | None) -> str:
    """The name of a count over the last days, or over all time for None."""
    return stem if days is None else f"{stem}_{days}d"


def count_of(interaction_type: str) -> str:
    """The stem of the counts of a type: what is no letter, digit or underscore is none in a name of a column."""
    return "count_" + named(interaction_type)


def chosen_of(interaction_type: str) -> str:
    """The stem of the impressions that led to this type."""
    return "chosen_" + named(interaction_type)


def named(what: str) -> str:
    """An interaction type, or an attribute, as a part of the name of a column."""
    return re.sub(r"\W", "_", what)


def _of_types(types: Sequence[str]) -> tuple[Field, ...]:
    return tuple(field for name in types for field in _in_windows(count_of(name), f"interactions of type {name}"))


def _in_windows(stem: str, what: str) -> tuple[Field, ...]:
    windows = [Field(windowed(stem, days), FLOAT32, f"{what} in the last {days} days") for days in WINDOWS_DAYS]
    return (*windows, Field(stem, FLOAT32, f"{what} ever"))
