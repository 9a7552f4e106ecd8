from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import polars as pl
import pytest

from recsys.split import cold_items, earlier_windows, split_by_time

CUT = datetime(2011, 11, 25, tzinfo=UTC)


def interactions_at(*times: datetime) -> pl.DataFrame:
    schema = {"timestamp": pl.Datetime("us", "UTC"), "row": pl.Int64}
    return pl.DataFrame({"timestamp": times, "row": range(len(times))}, schema=schema)


def test_an_interaction_at_the_cut_belongs_to_the_window_and_one_just_before_it_does_not():
    interactions = interactions_at(CUT, CUT - timedelta(microseconds=1), CUT + timedelta(days=1))
    before, window = split_by_time(interactions, CUT)
    assert before["row"].to_list() == [1]
    assert window["row"].to_list() == [0, 2]


def test_a_cut_in_another_time_zone_is_the_same_moment():
    cut = datetime(2011, 11, 25, 2, tzinfo=timezone(timedelta(hours=2)))
    before, window = split_by_time(interactions_at(CUT, CUT - timedelta(microseconds=1)), cut)
    assert (before["row"].to_list(), window["row"].to_list()) == ([1], [0])


def test_a_cut_without_a_time_zone_is_refused():
    with pytest.raises(ValueError, match="2011-11-25T00:00:00 has no time zone"):
        split_by_time(interactions_at(CUT), datetime(2011, 11, 25))


def test_earlier_windows_touch_each_other_and_the_last_ends_at_the_cut():
    cuts = earlier_windows(CUT, count=3, days=14)
    assert [cut.strftime("%m-%d") for cut in cuts] == ["10-14", "10-28", "11-11"]
    assert cuts[-1] + timedelta(days=14) == CUT


def test_no_windows_are_no_cuts():
    assert earlier_windows(CUT, count=0, days=14) == []


def test_one_item_in_ten_is_cold_rounded_down():
    assert cold_items([f"{number:02}" for number in range(39)]).sum() == 3
    assert cold_items([f"{number}" for number in range(9)]).sum() == 0


def test_cold_items_are_the_first_of_the_permutation_over_the_sorted_ids():
    ids = [f"{number:02}" for number in range(20)]
    first_two = np.random.default_rng(0).permutation(20)[:2]
    assert set(np.flatnonzero(cold_items(ids))) == set(first_two)


def test_which_items_are_cold_does_not_depend_on_the_order_of_the_catalogue():
    ids = [f"{number:03}" for number in range(100)]
    mixed = [ids[at] for at in np.random.default_rng(7).permutation(100)]
    assert {ids[at] for at in np.flatnonzero(cold_items(ids))} == {
        mixed[at] for at in np.flatnonzero(cold_items(mixed))
    }


def test_an_item_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="item 'b' stands twice"):
        cold_items(["b", "a", "b"])
