"""The weight of each interaction, which is that of its type."""

from collections.abc import Mapping

import polars as pl

from features.views import WEIGHT
from recsys.config import InteractionType
from recsys.errors import DataError
from recsys.schema import EVENT_TYPE


def weights_of(types: Mapping[str, InteractionType]) -> dict[str, float]:
    """The weight of each interaction type."""
    return {name: kind.weight for name, kind in types.items()}


def weigh(interactions: pl.DataFrame, types: Mapping[str, InteractionType]) -> pl.DataFrame:
    """The interactions with the weight of their type in a column of its own.

    Raises DataError when one is of a type that is not among `types`.
    """
    weights = weights_of(types)
    if unknown := sorted(set(interactions[EVENT_TYPE].unique()) - weights.keys()):
        raise DataError(
            f"interactions: found the types {unknown}, expected {sorted(weights)}; "
            "add them to [interaction_types], or run `recsys import` again"
        )
    return interactions.with_columns(pl.col(EVENT_TYPE).replace_strict(weights, return_dtype=pl.Float32).alias(WEIGHT))
