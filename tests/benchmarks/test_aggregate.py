from datetime import date, timedelta

import click
import polars as pl
import pytest

from benchmarks.aggregate import check_equal
from benchmarks.day_events import START, WEIGHTS, day_events, write_days
from features.daily.log import DailyLog, midnight
from tests.benchmarks.quick import quick


def test_all_days_are_aggregated_and_pandas_agrees(tmp_path):
    details = quick("aggregate", tmp_path)
    assert details["days"] == 4
    assert {name: run["events"] for name, run in details["runs"].items()} == {
        "one day": 2_000,
        "beside pandas": 2_000,
        "pandas": 2_000,
        "all days": 8_000,
        "a day more": 2_000,
    }
    assert all(run["seconds"] > 0 and run["peak_gb"] > 0 for run in details["runs"].values())


def test_a_value_that_differs_is_refused(tmp_path):
    views = {"item_behaviour": "item_id", "user_behaviour": "user_id", "user_history": "user_id"}
    for name in ("recsys", "pandas"):
        for view, key in views.items():
            rows = pl.DataFrame({key: ["a", "b"], "event_timestamp": START, "value": [1.0, 2.0]})
            (tmp_path / name / view).mkdir(parents=True)
            rows.write_parquet(tmp_path / name / view / "0.parquet")
    check_equal(tmp_path)
    rows.with_columns(value=pl.lit(1.0)).write_parquet(tmp_path / "pandas" / view / "0.parquet")
    with pytest.raises(click.ClickException, match="user_history"):
        check_equal(tmp_path)


def test_a_seed_gives_the_same_days_and_each_day_others(tmp_path):
    first = day_events(START, 1000, seed=1)
    assert first.equals(day_events(START, 1000, seed=1))
    assert not first.equals(day_events(START, 1000, seed=2))
    assert write_days(DailyLog(tmp_path), days=2, events_a_day=1000, seed=1) == midnight(date(2024, 1, 3))
    assert DailyLog(tmp_path).scan(START).drop("position").collect().equals(first)
    assert not DailyLog(tmp_path).scan(START + timedelta(days=1)).drop("position").collect().equals(first)


def test_the_interactions_of_a_day_are_of_that_day_and_heavy_tailed():
    events = day_events(START, 50_000, seed=0)
    assert events["timestamp"].is_sorted()
    assert events["timestamp"].dt.date().unique().to_list() == [START]
    shares = events["event_type"].value_counts(normalize=True).rows()
    assert dict(shares) == pytest.approx({"purchase": 0.05, "cart": 0.15, "view": 0.8}, abs=0.01)
    assert dict(shares).keys() == WEIGHTS.keys()
    assert events["value"].null_count() / len(events) == pytest.approx(0.1, abs=0.01)
    together = events.group_by("user_id", "timestamp").len().filter(pl.col("len") > 1)
    assert together["len"].sum() / len(events) > 0.15
    by_item = events["item_id"].value_counts(sort=True)["count"]
    # The hundredth part of the items with the most takes a quarter of all, and many items have one alone.
    assert by_item.head(len(by_item) // 100).sum() / len(events) > 0.25
    assert (by_item == 1).mean() > 0.5
