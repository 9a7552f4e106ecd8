"""What logged lists would have earned in another order: the order of some scores of their items.

    estimate_reranked(rows).snips

rows: one a shown item, request_id, item_id, position (1 = shown first, without gaps), propensity, reward, score
"""

import polars as pl

from recsys.off_policy import EXPECTED, POSITION, PREDICTED, TARGET, OffPolicy, estimate
from recsys.schema import REQUEST_ID
from training.reward_model import BASE, FOLD, LIFT, with_model

SCORE = "score"


def estimate_reranked(
    rows: pl.DataFrame, *, by: str = REQUEST_ID, top: int | None = None, max_weight: float | None = None
) -> OffPolicy:
    """The mean reward of an impression if each list had been shown in the order of its scores, the highest first.

    top   positions from the first whose rewards count; None: all

    Equal scores stand in every order equally often; an item without a score (null, NaN) comes last. The lists keep
    their items: that other items might have been shown is not part of it. `by` and `max_weight` are those of
    recsys.off_policy.estimate, whose assumptions are made and whose errors are raised.
    """
    ranked = with_expectation(with_model(with_target(rows), by=by))
    if top is not None:
        ranked = ranked.filter(pl.col(POSITION) <= top)
    return estimate(ranked.with_columns((pl.col(BASE) * pl.col(LIFT)).alias(PREDICTED)), by=by, max_weight=max_weight)


def with_target(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with `target`, the probability that the item's place by its score is the one where it was shown."""
    score = pl.col(SCORE).cast(pl.Float64).fill_nan(None).fill_null(-float("inf"))
    rows = rows.with_columns(score.alias(SCORE))
    before = pl.col(SCORE).rank("min", descending=True).over(REQUEST_ID)
    ties = pl.len().over(REQUEST_ID, SCORE)
    among = (pl.col(POSITION) >= before) & (pl.col(POSITION) < before + ties)
    return rows.with_columns(pl.when(among).then(1.0 / ties).otherwise(0.0).alias(TARGET))


def with_expectation(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with `expected`, what the model predicts for what the scores put at the position of the row."""
    of_place = (
        rows.sort(REQUEST_ID, SCORE, descending=[False, True])
        .with_columns(pl.col(LIFT).mean().over(REQUEST_ID, SCORE))
        .select(
            REQUEST_ID, pl.col(LIFT).alias(EXPECTED), pl.int_range(1, pl.len() + 1).over(REQUEST_ID).alias(POSITION)
        )
        .with_columns(pl.col(POSITION).cast(rows.schema[POSITION]))
    )
    found = rows.join(of_place, on=[REQUEST_ID, POSITION], how="left", maintain_order="left", validate="1:1")
    return found.with_columns(pl.col(EXPECTED) * pl.col(BASE)).drop(FOLD)
