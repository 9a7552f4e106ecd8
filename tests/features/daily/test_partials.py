import polars as pl
import pytest

from features.daily.day import partials
from features.daily.keys import ITEM_KEY, KEYS, USER_KEY, key
from features.daily.partials import merged_pairs, repeated, together
from tests.features.daily.cases import events
from tests.features.log import day

ROWS = events(
    ("ann", "tea", 1, 2.0, "view"),
    ("ann", "tea", 1, None, "buy"),
    ("bob", "tea", 1, 3.0, "view"),
    ("ann", "cup", 1.5, 4.0, "view"),
)
WEIGHTS = {"buy": 1.0, "view": 0.25}
TYPES = list(WEIGHTS)


def at(number: float) -> int:
    return round(day(number).timestamp()) * 1_000_000


def of(rows: pl.DataFrame, logged: list[int]):
    rank = pl.col("event_type").replace_strict({name: place for place, name in enumerate(TYPES)})
    rows = rows.with_columns(
        key("user_id").alias(USER_KEY),
        key("item_id").alias(ITEM_KEY),
        rank.cast(pl.UInt8).alias("rank"),
        pl.col("timestamp").cast(pl.Int64).alias("at"),
        logged=pl.Series(logged, dtype=pl.Int64),
    )
    return partials(rows, TYPES)


def named(rows: pl.DataFrame, *columns: str) -> list[tuple]:
    """The rows in their order by name, with ids for the keys."""
    ids = pl.DataFrame({"id": ["ann", "bob", "tea", "cup"]})
    name = dict(ids.select(key("id").alias("key"), "id").rows())
    keys = [pl.col(column).replace_strict(name, return_dtype=pl.String) for column in (USER_KEY, ITEM_KEY)]
    return rows.with_columns(keys).select(USER_KEY, ITEM_KEY, *columns).sort(pl.all()).rows()


def test_what_a_stretch_says_of_items_and_users():
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


def test_every_interaction_is_kept_and_only_the_first_of_an_occasion_is_one():
    found = of(ROWS, [7, 5, 8, 9]).events.collect()
    assert named(found, "logged", "at", "occasions", "rank") == [
        ("ann", "cup", 9, at(1.5), 1, 1),
        ("ann", "tea", 5, at(1), 0, 0),
        ("ann", "tea", 7, at(1), 1, 1),
        ("bob", "tea", 8, at(1), 1, 1),
    ]
    assert found[USER_KEY].is_sorted()


def test_pairs_of_two_stretches_add_up():
    later = of(events(("ann", "tea", 4, None, "view"), ("ann", "tea", 3, None, "view")), [20, 21])
    pairs = merged_pairs(together([of(ROWS, [7, 5, 8, 9]), later]), WEIGHTS)
    assert named(pairs, "occasions", "first_at", "last_at", "logged", "rank") == [
        ("ann", "cup", 1, at(1.5), at(1.5), 9, 1),
        ("ann", "tea", 3, at(1), at(4), 21, 0),
        ("bob", "tea", 1, at(1), at(1), 8, 1),
    ]


def test_every_user_is_in_one_range(monkeypatch):
    monkeypatch.setattr("features.daily.partials.PAIRS_AT_ONCE", 100)
    found = of(events(*((f"user {number}", "tea", 1, None, "buy") for number in range(1000))), list(range(1000)))
    ranges = found.ranges()
    assert len(ranges) == 10
    assert [ranges[0][0], *(last for _, last in ranges)] == [*(first for first, _ in ranges), KEYS]
    parts = [found.of_users(*part).users.collect()["user_id"].to_list() for part in ranges]
    assert sorted(user for part in parts for user in part) == sorted(f"user {number}" for number in range(1000))
    assert all(50 < len(part) < 150 for part in parts)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(1, 2), (2, 1), (1, 2), (1, 1)], [True, False, True, False]),
        ([(1, 2)], [False]),
        ([(2**64 - 1, 5)] * 3, [True] * 3),
        ([], []),
    ],
)
def test_rows_that_have_equals_are_found(rows, expected):
    frame = pl.DataFrame(rows, schema={"a": pl.UInt64, "b": pl.UInt64}, orient="row")
    assert repeated(frame, "a", "b").to_list() == expected
