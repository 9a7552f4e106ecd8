"""Logs in folders, and what tests.features.whole_log says of the same interactions."""

from datetime import datetime
from pathlib import Path

import polars as pl
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from features.daily.aggregates import DailyAggregates
from features.daily.log import DailyLog
from features.daily.snapshot import snapshot
from features.featureset import FeatureSet
from recsys.catalogue import Catalogue
from tests.features.log import MICROSECOND, day, log
from tests.features.whole_log import item_behaviour, user_affinity, user_behaviour, user_history

# 0.1 has no exact float, and two types have equal weights.
WEIGHTS = {"view": 0.1, "cart": 0.5, "buy": 1.0, "wish": 0.5}
FEATURES = FeatureSet.of(WEIGHTS)
KEYS = {
    "item_behaviour": "item_id",
    "user_behaviour": "user_id",
    "user_history": "user_id",
    "user_affinity": "user_id",
}
# Tea has changed its category, jam has none, and of d and e nothing is known.
ITEMS = [("tea", "herb", day(1)), ("tea", "drink", day(60)), ("cup", "dish", None), ("jam", None, None)]
ITEMS += [("a", "one", None), ("b", "other", None), ("c", "one", None)]
CATALOGUE = Catalogue.load(
    pl.DataFrame(
        [(item, item, category, at) for item, category, at in ITEMS],
        schema={
            "item_id": pl.String,
            "title": pl.String,
            "category": pl.String,
            "updated_at": pl.Datetime("us", "UTC"),
        },
        orient="row",
    )
)

days = st.integers(0, 110)
moments = st.one_of(
    days.map(day),
    days.map(lambda number: day(number) - MICROSECOND),
    days.map(lambda number: day(number + 0.5)),
    st.integers(0, 12).map(lambda hours: day(70 + hours / 24)),
)
rows = st.tuples(
    st.sampled_from(["ann", "bob", "cat", "dan"]),
    st.sampled_from("abcde"),
    moments,
    st.none() | st.sampled_from([0.0, 1.3, 7.25]),
    st.just(1.0),
    st.sampled_from(sorted(WEIGHTS)),
)


def events(*rows: tuple) -> pl.DataFrame:
    """Interactions as a source gives them, without a weight: user, item, time, and optionally value and type (buy)."""
    full = [(*row, *(None, "buy")[len(row) - 3 :]) for row in rows]
    return log(*((*row[:4], 1.0, row[4]) for row in full)).drop("weight")


def logged(daily: DailyLog) -> pl.DataFrame:
    """The whole log in its order, each interaction with its weight."""
    parts = [events(), *(daily.scan(found).drop("position").collect() for found in daily.days())]
    weight = pl.col("event_type").replace_strict(WEIGHTS, return_dtype=pl.Float32)
    return pl.concat(parts).with_columns(weight=weight)


def views_of(
    aggregates: DailyAggregates, as_of: datetime, out: Path, windows_from: datetime | None = None
) -> dict[str, pl.DataFrame]:
    """The views of a snapshot in this folder, in the order of their ids."""
    snapshot(aggregates, CATALOGUE, as_of, out, windows_from=windows_from)
    return {view: pl.read_parquet(out / view / "*.parquet").sort(key) for view, key in KEYS.items()}


def assert_views(
    views: dict[str, pl.DataFrame], daily: DailyLog, as_of: datetime, windows_from: datetime | None = None
) -> None:
    """The views are those of the whole log, but for the order of summing floats."""
    interactions = logged(daily)
    expected = {
        "item_behaviour": item_behaviour(interactions, as_of, FEATURES, windows_from=windows_from),
        "user_behaviour": user_behaviour(interactions, as_of, FEATURES, windows_from=windows_from),
        "user_history": user_history(interactions, as_of, windows_from=windows_from),
        "user_affinity": user_affinity(interactions, CATALOGUE, as_of, windows_from=windows_from),
    }
    assert views.keys() == expected.keys()
    for name, rows in expected.items():
        assert_frame_equal(views[name], rows, rel_tol=1e-6, abs_tol=0)


def aggregates_in(folder: Path, *parts: pl.DataFrame) -> DailyAggregates:
    """Aggregates of a log with these parts, nothing computed."""
    daily = DailyLog(folder / "log")
    for number, part in enumerate(parts):
        daily.write(part, part=f"part-{number}")
    return DailyAggregates(daily, folder / "state", WEIGHTS)


def state_of(aggregates: DailyAggregates) -> dict[str, pl.DataFrame]:
    """Every table in the state by its place, in no order of its rows."""
    found = sorted(aggregates.folder.rglob("*.parquet"))
    return {str(path.relative_to(aggregates.folder)): pl.read_parquet(path).pipe(_sorted) for path in found}


def _sorted(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort([name for name in ("user_id", "item_id") if name in frame.columns])
