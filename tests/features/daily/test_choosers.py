import polars as pl

from features.daily.choosers import Choosers, microseconds
from tests.features.log import MICROSECOND, day

AS_OF = day(100)


def pairs(*rows: tuple) -> pl.DataFrame:
    """Place of the item, occasions, first and last time."""
    full = [(item, occasions, microseconds(first), microseconds(last)) for item, occasions, first, last in rows]
    return pl.DataFrame(full, schema=["item_key", "occasions", "first_at", "last_at"], orient="row")


def test_users_count_where_they_came_last_and_add_up_over_parts():
    choosers = Choosers(2, AS_OF)
    choosers.add(pairs((0, 1, day(9), day(9)), (1, 3, day(20), day(99)), (0, 2, day(10), day(93))))
    choosers.add(pairs((0, 1, day(72), day(93) - MICROSECOND)))
    found = choosers.columns()
    windows = {name: column.to_list() for name, column in found.items() if name.startswith("users")}
    assert windows == {
        "users_1d": [0, 1],
        "users_7d": [1, 1],
        "users_28d": [2, 1],
        "users_90d": [2, 1],
        "users": [3, 1],
    }
    assert found["returned"].to_list() == [1, 1]
    assert found["new_users_28d"].to_list() == [1, 0]
    assert found["new_users_7d"].to_list() == [0, 0]
    assert found["first_at"].to_list() == [day(9).timestamp(), day(20).timestamp()]
    assert found["last_at"].to_list() == [day(93).timestamp(), day(99).timestamp()]


def test_no_items_have_no_users():
    choosers = Choosers(0, AS_OF)
    choosers.add(pairs().cast(pl.Int64))
    assert all(column.is_empty() for column in choosers.columns().values())


def test_microseconds_are_exact():
    assert microseconds(day(100) + MICROSECOND) - microseconds(day(100)) == 1
    assert microseconds(day(0)) == 1_704_067_200_000_000
