from datetime import timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.cooccurrence import cooccurrence
from features.fields import HISTORY_FIELDS
from features.regression import regression
from features.successors import successors
from tests.features import whole_log
from tests.features.log import FEATURES, MICROSECOND, catalogue_of, day, log, seconds
from tests.features.whole_log import user_history

AS_OF = day(100)


def item_behaviour(interactions, as_of, **windows):
    return whole_log.item_behaviour(interactions, as_of, FEATURES, **windows)


def user_behaviour(interactions, as_of, **windows):
    return whole_log.user_behaviour(interactions, as_of, FEATURES, **windows)


VIEWS = [
    (item_behaviour, "item_id", FEATURES.item_fields),
    (user_behaviour, "user_id", FEATURES.user_fields),
    (user_history, "user_id", HISTORY_FIELDS),
]
POLARS_TYPES = {
    "Float32": pl.Float32(),
    "Float64": pl.Float64(),
    "Array(String)": pl.List(pl.String),
    "Array(Float64)": pl.List(pl.Float64),
}
EVERY_VIEW = pytest.mark.parametrize("aggregate", [view for view, _, _ in VIEWS], ids=lambda view: view.__name__)


def only_row(frame: pl.DataFrame) -> dict:
    (row,) = frame.iter_rows(named=True)
    return row


def test_what_is_known_of_an_item():
    interactions = log(
        ("ann", "tea", 1, 3.0),
        ("dan", "tea", 5, 3.0),
        ("cat", "tea", 20, 5.0),
        ("ann", "tea", 80, None, 0.25),
        ("bob", "tea", 95, 6.0, 1.0),
        ("bob", "tea", 95, 8.0, 0.5),  # the same occasion
        ("bob", "tea", 99, 5.0, 0.5, "view"),
    )
    assert only_row(item_behaviour(interactions, AS_OF)) == {
        "item_id": "tea",
        "event_timestamp": AS_OF,
        "users_1d": 1,  # bob
        "users_7d": 1,
        "users_28d": 2,  # and ann
        "users_90d": 3,  # and cat
        "users": 4,  # and dan
        "count_purchase_1d": 0,
        "count_purchase_7d": 2,  # bob's on day 95
        "count_purchase_28d": 3,  # and ann's on day 80
        "count_purchase_90d": 4,  # and cat's
        "count_purchase": 6,
        "count_view_1d": 1,
        "count_view_7d": 1,
        "count_view_28d": 1,
        "count_view_90d": 1,
        "count_view": 1,
        "occasions_28d": 3,  # ann's on day 80, bob's on days 95 and 99
        "weight_28d": 2.25,
        "new_users_7d": 1,  # bob
        "new_users_28d": 1,
        "returned": 2,  # ann and bob
        "value_sum": 30.0,
        "value_count": 6,  # ann's of day 80 has none
        "first_at": seconds(1),
        "last_at": seconds(99),
    }


def test_an_item_chosen_twice_at_one_moment_was_not_chosen_again():
    interactions = log(("ann", "tea", 1), ("ann", "tea", 1))
    assert only_row(item_behaviour(interactions, AS_OF))["returned"] == 0


def test_two_users_at_one_moment_are_two_occasions_of_an_item():
    interactions = log(("ann", "tea", 99), ("bob", "tea", 99))
    assert only_row(item_behaviour(interactions, AS_OF))["occasions_28d"] == 2


WINDOWS = [
    *((item_behaviour, f"users_{days}d", days) for days in (1, 7, 28, 90)),
    *((item_behaviour, f"count_purchase_{days}d", days) for days in (1, 7, 28, 90)),
    (item_behaviour, "occasions_28d", 28),
    (item_behaviour, "weight_28d", 28),
    *((user_behaviour, f"occasions_{days}d", days) for days in (1, 7, 28, 90)),
    *((user_behaviour, f"count_purchase_{days}d", days) for days in (1, 7, 28, 90)),
    *((user_behaviour, f"value_sum_{days}d", days) for days in (28, 90)),
]
EVERY_WINDOW = pytest.mark.parametrize(("aggregate", "column", "days"), WINDOWS)


@EVERY_WINDOW
def test_a_window_of_days_begins_that_many_days_before_the_moment_to_the_microsecond(aggregate, column, days):
    within = AS_OF - timedelta(days=days)
    assert only_row(aggregate(log(("ann", "tea", within, 1.0)), AS_OF))[column] == 1
    assert only_row(aggregate(log(("ann", "tea", within - MICROSECOND)), AS_OF))[column] == 0


@EVERY_WINDOW
def test_a_window_counted_on_from_an_earlier_snapshot_began_with_that_and_ends_at_the_moment(aggregate, column, days):
    snapshot, within = AS_OF - timedelta(hours=20), AS_OF - timedelta(hours=20, days=days)
    moments = (within - MICROSECOND, within, AS_OF - MICROSECOND, AS_OF)
    log_rows = [("ann", "tea", moment, 1.0) for moment in moments]
    found = only_row(aggregate(log(*log_rows), AS_OF, windows_from=snapshot))
    assert found[column] == (1 if column.startswith("users") else 2)
    assert only_row(aggregate(log(log_rows[1]), AS_OF, windows_from=snapshot))[column] == 1
    assert only_row(aggregate(log(log_rows[0]), AS_OF, windows_from=snapshot))[column] == 0
    assert found["event_timestamp"] == AS_OF


def test_what_is_known_of_a_user():
    interactions = log(
        ("ann", "tea", 5, 1.0),
        ("ann", "cup", 5, 2.0),
        ("ann", "tea", 20, 3.0),
        ("ann", "tea", 20, None),  # the same pair of occasion and item
        ("ann", "cup", 80, 4.0, 0.2, "view"),
        ("ann", "jam", 95, 5.0),
    )
    assert only_row(user_behaviour(interactions, AS_OF)) == {
        "user_id": "ann",
        "event_timestamp": AS_OF,
        "occasions_1d": 0,
        "occasions_7d": 1,
        "occasions_28d": 2,
        "occasions_90d": 3,
        "occasions": 4,
        "count_purchase_1d": 0,
        "count_purchase_7d": 1,
        "count_purchase_28d": 1,
        "count_purchase_90d": 3,
        "count_purchase": 5,
        "count_view_1d": 0,
        "count_view_7d": 0,
        "count_view_28d": 1,
        "count_view_90d": 1,
        "count_view": 1,
        "distinct_items": 3,
        "value_sum_28d": 9.0,
        "value_sum_90d": 12.0,
        "value_sum": 15.0,
        "value_count": 5,
        "value_sum_squares": 55.0,
        "pairs": 5,  # of occasion and item, on 4 occasions
        "first_at": seconds(5),
        "last_at": seconds(95),
    }


def test_equal_timestamps_of_a_user_are_one_occasion():
    found = only_row(user_behaviour(log(("ann", "tea", 99), ("ann", "cup", 99)), AS_OF))
    assert (found["occasions"], found["occasions_28d"], found["pairs"]) == (1, 1, 2)


def test_users_and_items_are_kept_apart_and_come_in_the_order_of_their_ids():
    interactions = log(("bob", "cup", 1, 1.0), ("ann", "tea", 2, 2.0), ("ann", "cup", 3, 3.0))
    items, users, histories = (aggregate(interactions, AS_OF) for aggregate, _, _ in VIEWS)
    assert items.select("item_id", "users", "value_sum").rows() == [("cup", 2, 4), ("tea", 1, 2)]
    assert users.select("user_id", "distinct_items", "value_sum").rows() == [("ann", 2, 5), ("bob", 1, 1)]
    assert histories.select("user_id", "history_items").rows() == [("ann", ["cup", "tea"]), ("bob", ["cup"])]


def test_an_interaction_without_a_value_adds_none():
    found = only_row(item_behaviour(log(("ann", "tea", 1)), AS_OF))
    assert (found["value_sum"], found["value_count"]) == (0, 0)


@pytest.mark.parametrize(("aggregate", "key", "fields"), VIEWS)
@pytest.mark.parametrize("interactions", [log(("ann", "tea", 1, 2.0)), log()], ids=["one row", "no row"])
def test_the_columns_have_the_types_of_the_fields(aggregate, key, fields, interactions):
    assert aggregate(interactions, AS_OF).schema == {
        key: pl.String,
        "event_timestamp": pl.Datetime("us", "UTC"),
        **{field.name: POLARS_TYPES[field.kind] for field in fields},
    }


@EVERY_VIEW
def test_a_moment_in_another_time_zone_is_the_same_moment(aggregate):
    interactions = log(("ann", "tea", 99), ("bob", "cup", AS_OF - MICROSECOND), ("bob", "tea", AS_OF))
    there = AS_OF.astimezone(timezone(timedelta(hours=9)))
    assert aggregate(interactions, there).equals(aggregate(interactions, AS_OF))


@EVERY_VIEW
def test_an_interaction_counts_up_to_the_last_microsecond_before_the_moment(aggregate):
    last = log(("ann", "tea", AS_OF - MICROSECOND))
    assert aggregate(last, AS_OF).height == 1
    assert aggregate(log(("ann", "tea", AS_OF)), AS_OF).height == 0


moments = st.integers(-120, 20).map(lambda days: AS_OF + timedelta(days=days)) | st.sampled_from(
    [AS_OF - MICROSECOND, AS_OF, AS_OF + MICROSECOND]
)
rows = st.tuples(
    st.sampled_from(["ann", "bob", "cat"]),
    st.sampled_from("abcd"),
    moments,
    st.none() | st.sampled_from([0.0, 1.5, 7.25]),
    st.sampled_from([0.5, 1.0]),
    st.sampled_from(["cart", "view"]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(rows, max_size=25))
def test_nothing_at_or_after_the_moment_touches_a_feature(everything):
    known = log(*(row for row in everything if row[2] < AS_OF))
    for aggregate, _, _ in VIEWS:
        assert aggregate(log(*everything), AS_OF).equals(aggregate(known, AS_OF))
    for of in (cooccurrence, regression, successors):
        found, expected = (of(part, catalogue_of("abc"), AS_OF) for part in (log(*everything), known))
        for part in ("data", "indices", "indptr"):
            assert getattr(found, part).tolist() == getattr(expected, part).tolist()


@settings(deadline=None, max_examples=30)
@given(st.lists(rows, max_size=25))
def test_a_window_from_the_moment_itself_is_the_window_without_an_earlier_snapshot(everything):
    for aggregate in (item_behaviour, user_behaviour):
        found = aggregate(log(*everything), AS_OF, windows_from=AS_OF)
        assert found.equals(aggregate(log(*everything), AS_OF))
