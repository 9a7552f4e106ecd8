"""Interest that halves every month, as a sum over interactions that never has to be weighed anew.

The interest of an interaction is counted as of one moment for ever, EPOCH, from which it is larger the later the
interaction was; a snapshot scales the sums of days down to its own moment.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import polars as pl

from features.affinity import HALF_LIFE_DAYS
from features.daily.events import AT, RANK

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)  # floats hold 1,023 doublings before it and after it: 84 years
MICROSECONDS_A_DAY = 86_400e6


def interest(weights: Mapping[str, float]) -> pl.Expr:
    """What an event adds, as of EPOCH; weights are in the order of the ranks of their types."""
    # Interactions have their weights in 32 bits.
    of_rank = {rank: float(np.float32(weight)) for rank, weight in enumerate(weights.values())}
    start = round(EPOCH.timestamp()) * 1_000_000
    # Times a number: Polars divides a column of one row to other bits than a longer one.
    half_lives = (pl.col(AT) - start) * (1.0 / (HALF_LIFE_DAYS * MICROSECONDS_A_DAY))
    return pl.col(RANK).replace_strict(of_rank, return_dtype=pl.Float64) * 2.0**half_lives


def as_of(moment: datetime) -> float:
    """What scales interest as of EPOCH to that of a moment."""
    return float(0.5 ** ((moment - EPOCH).total_seconds() * 1e6 / (HALF_LIFE_DAYS * MICROSECONDS_A_DAY)))
