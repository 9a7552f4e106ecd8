from datetime import timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.features.daily.cases import aggregates_in, assert_views, events, moments, rows, views_of
from tests.features.log import MICROSECOND, day, log


@settings(deadline=None, max_examples=40)
@given(
    st.lists(rows, max_size=40),
    st.lists(rows, max_size=5),
    st.lists(st.tuples(moments, st.sampled_from([None, 0.5, 3])), min_size=1, max_size=2),
    st.sampled_from([3, 28]),
    st.sampled_from([2, 1000]),
)
def test_the_views_are_those_of_the_whole_log_at_every_moment(early, late, times, merge_days, pairs_at_once):
    with (
        TemporaryDirectory() as name,
        patch("features.daily.aggregates.MERGE_DAYS", merge_days),
        patch("features.daily.aggregates.SAMPLED_KEYS", 1 << 64),
        patch("features.daily.partials.PAIRS_AT_ONCE", pairs_at_once),
        patch("features.history.RECENT_EVENTS", 3),
    ):
        aggregates = aggregates_in(Path(name), log(*early).drop("weight"))
        for part in (log(), log(*late)):
            aggregates.log.write(part.drop("weight"), part="late")
            for as_of, ago in times:
                begun = None if ago is None else as_of - timedelta(days=ago)
                views = views_of(aggregates, as_of, Path(name) / "out", begun)
                assert_views(views, aggregates.log, as_of, begun)


@settings(deadline=None, max_examples=20)
@given(st.lists(rows, max_size=40), st.lists(st.integers(1, 110), max_size=3))
@example([("ann", "a", day(at), None, 1.0, "buy") for at in (71, 70, 70 + 4 / 24)], [71])
def test_what_was_summed_before_changes_no_bit(found, earlier):
    with (
        TemporaryDirectory() as name,
        patch("features.daily.aggregates.MERGE_DAYS", 1),
        patch("features.daily.aggregates.SAMPLED_KEYS", 1 << 64),
    ):
        # Values whose sums depend on the order of adding.
        odd = log(*found).drop("weight").with_columns(value=pl.col("value") / 3)
        slowly, at_once = (aggregates_in(Path(name) / folder, odd) for folder in ("slowly", "at once"))
        for until in sorted(earlier):
            slowly.update(day(until))
        views = [views_of(one, day(110.5), one.folder / "out") for one in (slowly, at_once)]
        for view, rows_of_view in views[0].items():
            assert_frame_equal(rows_of_view, views[1][view], check_exact=True)


@pytest.mark.parametrize("days", [7, 28, 90])
@pytest.mark.parametrize(
    "as_of", [day(100), day(100.25), day(100) + MICROSECOND], ids=["midnight", "6 am", "just after"]
)
def test_a_window_begins_to_the_microsecond(tmp_path, as_of, days):
    start = as_of - timedelta(days=days)
    aggregates = aggregates_in(tmp_path, events(("ann", "tea", start), ("bob", "cup", start - MICROSECOND)))
    views = views_of(aggregates, as_of, tmp_path / "out")
    assert dict(views["item_behaviour"].select("item_id", f"users_{days}d").rows()) == {"tea": 1, "cup": 0}
    assert_views(views, aggregates.log, as_of)


def test_a_history_that_is_too_long_keeps_its_latest_items(tmp_path, monkeypatch):
    monkeypatch.setattr("features.history.MAX_HISTORY_ITEMS", 2)
    aggregates = aggregates_in(tmp_path, events(("ann", "tea", 1), ("ann", "cup", 2), ("ann", "jam", 3)))
    (row,) = views_of(aggregates, day(4), tmp_path / "out")["user_history"].rows(named=True)
    assert row["history_items"] == ["jam", "cup"]


def test_of_several_items_on_one_occasion_the_one_logged_last_that_day_comes_first(tmp_path):
    first_day = [("bob", "cup", 1), ("bob", "cup", 1), ("ann", "tea", 1)]
    aggregates = aggregates_in(tmp_path, events(*first_day, ("ann", "tea", 2), ("ann", "cup", 2)))
    histories = views_of(aggregates, day(3), tmp_path / "out")["user_history"]
    assert histories.filter(user_id="ann")["history_items"].to_list() == [["cup", "tea"]]


def test_a_moment_in_another_time_zone_is_the_same_moment(tmp_path):
    aggregates = aggregates_in(tmp_path, events(("ann", "tea", 3.1), ("bob", "tea", 3.9), ("ann", "cup", 2)))
    there = day(3.5).astimezone(timezone(timedelta(hours=-9)))
    assert_views(views_of(aggregates, there, tmp_path / "out"), aggregates.log, day(3.5))


def test_an_empty_log_has_views_without_rows(tmp_path):
    aggregates = aggregates_in(tmp_path)
    assert_views(views_of(aggregates, day(3.5), tmp_path / "out"), aggregates.log, day(3.5))


def test_a_snapshot_takes_the_place_of_the_last_one_and_a_killed_one_does_not(tmp_path, monkeypatch):
    aggregates, out = aggregates_in(tmp_path, events(("ann", "tea", 1), ("bob", "cup", 2))), tmp_path / "out"
    first = views_of(aggregates, day(2), out)
    with monkeypatch.context() as killed:
        killed.setattr("features.daily.snapshot.item_view", _killed)
        with pytest.raises(KeyboardInterrupt):
            views_of(aggregates, day(3), out)
    for view, frame in first.items():
        assert_frame_equal(pl.read_parquet(out / view / "*.parquet"), frame, check_row_order=False)
    assert_views(views_of(aggregates, day(3), out), aggregates.log, day(3))


def _killed(*_: object) -> None:
    raise KeyboardInterrupt
