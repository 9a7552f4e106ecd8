import polars as pl
import pytest

from features.daily.partials import BUCKETS, bucketed, merged_pairs, partials, together
from tests.features.daily.cases import events
from tests.features.log import day

ROWS = events(
    ("ann", "tea", 1, 2.0, "view"),
    ("ann", "tea", 1, None, "buy"),
    ("bob", "tea", 1, 3.0, "view"),
    ("ann", "cup", 1.5, 4.0, "view"),
)


def of(rows: pl.DataFrame, logged: list[int]):
    return partials(rows.with_columns(logged=pl.Series(logged, dtype=pl.Int64)), ["buy", "view"])


def test_what_a_stretch_says_of_items_users_and_pairs():
    found = of(ROWS, [7, 5, 8, 9])
    sums = ["occasions", "value_sum", "value_count", "value_sum_squares", "count_buy", "count_view"]
    assert found.items.sort("item_id").select("item_id", *sums).collect().rows() == [
        ("cup", 1, 4.0, 1, 16.0, 0, 1),
        # Ann's two interactions are one occasion, Bob's at the same moment is another.
        ("tea", 2, 5.0, 2, 13.0, 1, 2),
    ]
    assert found.users.sort("user_id").select("user_id", *sums).collect().rows() == [
        ("ann", 2, 6.0, 2, 20.0, 1, 2),
        ("bob", 1, 3.0, 1, 9.0, 0, 1),
    ]
    assert found.pairs.drop("bucket").sort("user_id", "item_id").collect().rows() == [
        ("ann", "cup", 1, day(1.5), day(1.5), 9, 1),
        ("ann", "tea", 1, day(1), day(1), 7, 0),
        ("bob", "tea", 1, day(1), day(1), 8, 1),
    ]


def test_the_last_interactions_of_each_user_are_kept_one_by_one(monkeypatch):
    monkeypatch.setattr("features.daily.partials.RECENT_EVENTS", 2)
    # Of ann's two at one time the one logged last.
    assert of(ROWS, [7, 5, 8, 9]).recent.drop("bucket").sort("logged").collect().rows() == [
        ("ann", "tea", 1, day(1), 7),
        ("bob", "tea", 1, day(1), 8),
        ("ann", "cup", 1, day(1.5), 9),
    ]


def test_pairs_of_two_stretches_add_up():
    later = of(events(("ann", "tea", 4, None, "view"), ("ann", "tea", 3, None, "view")), [20, 21])
    pairs = merged_pairs(together([later, of(ROWS, [7, 5, 8, 9])]).pairs).collect()
    assert pairs.filter(user_id="ann", item_id="tea").rows() == [("ann", "tea", 3, day(1), day(4), 21, 0)]
    assert pairs.height == 3


def test_every_user_is_in_one_bucket_and_each_range_has_its_own(monkeypatch):
    monkeypatch.setattr("features.daily.partials.PAIRS_AT_ONCE", 100)
    found = of(events(*((f"user {number}", "tea", 1, None, "buy") for number in range(1000))), list(range(1000)))
    ranges = found.ranges()
    assert len(ranges) == 11
    assert [ranges[0][0], *(last for _, last in ranges)] == [*(first for first, _ in ranges), BUCKETS]
    parts = [found.of_buckets(*part).pairs.collect()["user_id"].to_list() for part in ranges]
    assert sorted(user for part in parts for user in part) == sorted(f"user {number}" for number in range(1000))
    assert all(40 < len(part) < 160 for part in parts[:-1])


@pytest.mark.parametrize("users", [["ann", "bob"], ["bob", "ann", "bob", "cat"]])
def test_the_bucket_of_a_user_depends_on_nothing_else(users):
    frame = bucketed(pl.DataFrame({"user_id": users}))
    assert frame["bucket"].is_sorted()
    alone = {user: bucketed(pl.DataFrame({"user_id": [user]}))["bucket"].item() for user in users}
    assert dict(frame.rows()) == alone
