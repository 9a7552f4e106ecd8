"""Features as they were served, of the answers that were logged with them ([serving] logged_features_share).

Reads   log/impressions/day=DATE/*.parquet (written by `recsys export`)
"""

from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl

from features.recommender import Ranker
from recsys.drift import Span
from recsys.schema import ITEM_ID, REQUEST_ID, TIMESTAMP
from recsys.workspace import Workspace
from training.drift.served import Served

CANDIDATES: Final = "candidates"
FEATURES: Final = "features"
"""Of exported impressions, beside the columns of recsys.schema (serving.exported_rows)."""

BUNDLE: Final = "bundle"

_SCHEMA: Final[dict[str, pl.DataType]] = {
    REQUEST_ID: pl.String(),
    CANDIDATES: pl.List(pl.String),
    FEATURES: pl.List(pl.List(pl.Float32)),
}


def logged_lists(workspace: Workspace, bundle: str, span: Span) -> pl.DataFrame:
    """REQUEST_ID, CANDIDATES and FEATURES of the lists that a bundle made in a time, in the order of time."""
    # A file is of one day.
    days = [f"day={span.since + timedelta(days=day):%Y-%m-%d}" for day in range((span.until - span.since).days + 2)]
    folder = workspace.exported / "impressions"
    found = [pl.DataFrame(schema={TIMESTAMP: pl.Datetime("us", "UTC"), **_SCHEMA})]
    for file in (path for day in days for path in sorted((folder / day).glob("*.parquet"))):
        rows = pl.scan_parquet(file).filter(
            pl.col(TIMESTAMP) >= span.since,
            pl.col(TIMESTAMP) < span.until,
            pl.col(BUNDLE) == bundle,
            pl.col(FEATURES).is_not_null(),
        )
        found.append(rows.select(TIMESTAMP, *_SCHEMA).collect())
    return pl.concat(found).sort(TIMESTAMP, REQUEST_ID).drop(TIMESTAMP)


def as_served(lists: pl.DataFrame, ranker: Ranker, *, columns: int, most: int) -> Served:
    """At most so many of these lists, drawn, with the scores of the ranker, which has so many columns.

    The two times are the earlier half of the lists and the later one.
    """
    drawn = np.sort(np.random.default_rng(0).permutation(len(lists))[:most])
    matrices = [np.empty((0, columns), dtype=np.float32)]
    keys = [pl.DataFrame(schema={REQUEST_ID: pl.String, ITEM_ID: pl.String})]
    sizes = []
    for request, items, features in lists[drawn].iter_rows():
        # All of them: clicks are compared by those that were shown, which are the best.
        keys.append(pl.DataFrame({REQUEST_ID: [request] * len(items), ITEM_ID: items}))
        matrices.append(np.array(features, dtype=np.float32))
        sizes.append(len(items))
    matrix, of_rows = np.concatenate(matrices), pl.concat(keys)
    numbers = np.repeat(np.arange(len(sizes)), sizes)
    return Served(
        matrix=matrix,
        scores=np.asarray(ranker.predict(matrix), dtype=np.float64) if len(matrix) else np.empty(0),
        lists=numbers,
        items=of_rows[ITEM_ID].rank("dense").to_numpy().astype(np.int64),
        parts=(numbers >= len(sizes) / 2).astype(np.int64),
        keys=of_rows,
    )
