"""What an item earns at a position, predicted from a log for the doubly robust estimate.

The prediction is what the position earns on average, times what the item earned against what its positions earn: clicks
over expected clicks, Zhang and Jones, "Comparing click logs and editorial labels for training query rewriting", 2007.
It need not be true, it only takes variance away.
"""

from typing import Final

import polars as pl

from recsys.off_policy import POSITION, REWARD
from recsys.schema import ITEM_ID

PRIOR: Final = 5.0
"""Expected rewards after which an item's own count as much as those of the average item."""

LIFT, BASE, FOLD = "lift", "base", "fold"


def with_model(rows: pl.DataFrame, *, by: str) -> pl.DataFrame:
    """The rows with `lift` of the item (1 = as the average), `base` of the position and the `fold` they come from.

    rows  item_id, position, reward, and the column `by`: rows that agree in it are in one fold of two. Both values come
          from the rows of the other fold alone, so that no prediction has learned from the rewards that it predicts.
    """
    rows = rows.with_columns(((pl.col(by).rank("dense") - 1) % 2).cast(pl.Int8).alias(FOLD))
    base = of_other_fold(rows.group_by(FOLD, POSITION).agg(pl.col(REWARD).mean().alias(BASE)))
    # An item's own rewards are held against the averages of the same fold.
    expected = rows.join(rows.group_by(FOLD, POSITION).agg(pl.col(REWARD).mean().alias(BASE)), on=[FOLD, POSITION])
    sums = expected.group_by(FOLD, ITEM_ID).agg(pl.col(REWARD, BASE).sum())
    lift = sums.select(FOLD, ITEM_ID, ((pl.col(REWARD) + PRIOR) / (pl.col(BASE) + PRIOR)).alias(LIFT))
    return (
        rows.join(base, on=[FOLD, POSITION], how="left", maintain_order="left")
        .join(of_other_fold(lift), on=[FOLD, ITEM_ID], how="left", maintain_order="left")
        .with_columns(pl.col(BASE).fill_null(0.0), pl.col(LIFT).fill_null(1.0))
    )


def of_other_fold(values: pl.DataFrame) -> pl.DataFrame:
    """What was learned from one fold, for the rows of the other."""
    return values.with_columns((1 - pl.col(FOLD)).alias(FOLD))
