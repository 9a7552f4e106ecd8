"""What the trained ranking would have earned on the lists that were shown from the cut on.

Reads   impressions with propensities, interactions that name the request_id of an impression
Writes  off_policy.json

    recsys evaluate --off-policy
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from features.recommender import Recommender
from recsys.errors import DataError
from recsys.off_policy import POSITION, PROPENSITY, REWARD
from recsys.progress import progress
from recsys.schema import EVENT_TYPE, ITEM_ID, ITEMS, PROPENSITIES, QUERY, REQUEST_ID, TIMESTAMP, USER_ID
from recsys.state import Floats, Positions, UserState
from training.pipeline import Pipeline
from training.reranked import SCORE, estimate_reranked

OFF_POLICY_FILE: Final = "off_policy.json"
MOST_IMPRESSIONS: Final = 10_000
"""Drawn at random where there are more: scoring takes some milliseconds each."""

ESTIMATES: Final = {"logged": "as shown", "ips": "ours, IPS", "snips": "ours, SNIPS", "dr": "ours, DR"}

TOP: Final = 10
"""Positions whose rewards count."""

ROWS_AT_ONCE: Final = 20_000
SEED: Final = 0


def measure_off_policy(pipeline: Pipeline) -> dict[str, Any]:
    """For each label type the estimates of recsys.off_policy, as plain values for JSON.

    The target policy orders what was shown by the ranker's scores, with what is known of users and items at the cut.
    Intervals treat users, not requests, as independent. Raises DataError when no impression from the cut on has
    propensities, or one has a propensity that cannot be.
    """
    impressions, left_out = impressions_to_judge(pipeline)
    rows = shown_rows(impressions).with_columns(pl.Series(SCORE, scores_of_shown(pipeline, impressions)))
    found: dict[str, Any] = {}
    for label in pipeline.config.label_types:
        rewarded = with_rewards(rows, pipeline.interactions.filter(pl.col(EVENT_TYPE) == label))
        if not (rewarded[REWARD] > 0).any():
            print(f"off-policy: no {label} names the request_id of an impression, left out", file=sys.stderr)
            continue
        found[label] = msgspec.to_builtins(estimate_reranked(rewarded, by=USER_ID, top=TOP))
    return {
        "dataset": pipeline.config.name,
        "test_start": pipeline.cut.isoformat(),
        "impressions": len(impressions),
        "without_propensities": left_out,
        "labels": found,
    }


def impressions_to_judge(pipeline: Pipeline) -> tuple[pl.DataFrame, int]:
    """Impressions from the cut on that have propensities, and how many have none.

    Answers to a query are not among either: the ranker's score without what was asked says nothing of them.
    """
    logged = pipeline.impressions
    if logged is None:
        raise DataError("off-policy: the project has no impressions; log what is shown, name it under [source]")
    after = logged.filter((pl.col(TIMESTAMP) >= pipeline.cut) & pl.col(QUERY).is_null())
    judged = after.drop_nulls(PROPENSITIES)
    if judged.is_empty():
        raise DataError(
            f"off-policy: {len(after):,} impressions without a query from {pipeline.cut} on, none with propensities; "
            "expected the probability of each shown item's place, which a server that explores can log"
        )
    if len(judged) > MOST_IMPRESSIONS:
        at = np.random.default_rng(SEED).choice(len(judged), MOST_IMPRESSIONS, replace=False)
        judged = judged[np.sort(at)]
    return judged, after[PROPENSITIES].null_count()


def shown_rows(impressions: pl.DataFrame) -> pl.DataFrame:
    """One row a shown item, in the order of the lists: request_id, user_id, item_id, propensity, position from 1."""
    return (
        impressions.select(REQUEST_ID, USER_ID, pl.col(ITEMS).alias(ITEM_ID), pl.col(PROPENSITIES).alias(PROPENSITY))
        .explode(ITEM_ID, PROPENSITY)
        .with_columns(pl.int_range(1, pl.len() + 1).over(REQUEST_ID).alias(POSITION))
    )


def with_rewards(rows: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """The rows with reward 1 where an interaction of `chosen` names the request and the item, else 0."""
    answers = chosen.select(REQUEST_ID, ITEM_ID).drop_nulls().unique().with_columns(pl.lit(1.0).alias(REWARD))
    joined = rows.join(answers, on=[REQUEST_ID, ITEM_ID], how="left", maintain_order="left")
    return joined.with_columns(pl.col(REWARD).fill_null(0.0))


def scores_of_shown(pipeline: Pipeline, impressions: pl.DataFrame) -> Floats:
    """The ranker's score of each shown item, as known at the cut: float64 in the order of the lists, NaN of an item
    that the catalogue does not have."""
    store, catalogue, cut = pipeline.store, pipeline.catalogue, pipeline.cut
    pipeline.compute_features()
    booster = pipeline.ranker(with_text=True)
    recommender = pipeline.recommender(store.items_at(catalogue, cut), pipeline.text.scorer(cut))
    user_ids = impressions[USER_ID].unique().sort().to_list()
    states = dict(zip(user_ids, store.users_at(user_ids, catalogue, cut), strict=True))
    lists = [[catalogue.index.get(item, -1) for item in items] for items in impressions[ITEMS].to_list()]
    users = [states[user] for user in impressions[USER_ID]]
    parts: list[Floats] = []
    with progress("scoring what was shown", len(lists)) as advance:
        for matrices in batches(recommender, users, lists):
            parts.append(np.asarray(booster.predict(np.concatenate(matrices)), dtype=np.float64))
            advance(len(matrices))
    flat = np.concatenate([np.array(one, dtype=np.int64) for one in lists])
    scores = np.full(len(flat), np.nan)
    scores[flat >= 0] = np.concatenate(parts)
    return scores


def batches(
    recommender: Recommender, users: Sequence[UserState], lists: Sequence[Sequence[int]]
) -> Iterator[list[NDArray[np.float32]]]:
    """The feature matrices of the known items of each list, some lists at a time; positions below 0 are not known."""
    matrices: list[NDArray[np.float32]] = []
    for user, items in zip(users, lists, strict=True):
        known: Positions = np.array([item for item in items if item >= 0], dtype=np.int64)
        matrices.append(recommender.assemble(user, known, recommender.signals(user, known)))
        if sum(map(len, matrices)) >= ROWS_AT_ONCE:
            yield matrices
            matrices = []
    if matrices:
        yield matrices


def write_off_policy(report: Mapping[str, Any], folder: Path) -> Path:
    """Write off_policy.json into the folder and return its path."""
    path = folder / OFF_POLICY_FILE
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return path


def print_off_policy(report: Mapping[str, Any]) -> None:
    """One table for the terminal, and below it how far it can be trusted."""
    console = Console()
    table = Table(title=f"{report['dataset']}: lists shown from {report['test_start'][:10]} on, per impression")
    for column in ("label", "estimate", "value", "95 % interval"):
        table.add_column(column, no_wrap=True)
    for label, found in report["labels"].items():
        for name, title in ESTIMATES.items():
            one = found[name]
            table.add_row(label, title, f"{one['value']:.4f}", f"{one['low']:.4f} – {one['high']:.4f}")
    console.print(table)
    for label, found in report["labels"].items():
        told = found["diagnostics"]
        console.print(
            f"{label}: {told['requests']:,} impressions, worth {told['effective_sample_size']:,.0f} in our order; "
            f"largest weight {told['largest_weight']:.1f}; {told['support']['value']:.0%} of our choices supported"
        )
        if told["support"]["low"] > 1:
            console.print(
                f"{label}: more than all of our choices supported cannot be: these are not the propensities of lists "
                "of just these items. Do more positions explore than are shown? See Exploration in docs/rules.md"
            )
