import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.daily.order import by_user, latest_first, starts_of

# Some differ in their lowest bits alone, for which there is no room beside the numbers of rows.
KEYS = st.sampled_from([0, 1, 2, 1 << 62, (1 << 62) + 1, (1 << 64) - 2, (1 << 64) - 1])
ROWS = st.lists(st.tuples(KEYS, st.integers(0, 3), st.integers(0, 3)), max_size=30)


def frame(rows: list[tuple[int, int, int]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"user_key": pl.UInt64, "at": pl.Int64, "logged": pl.Int64}, orient="row")


@given(ROWS)
def test_rows_of_a_user_come_together_and_stay_in_their_order(rows):
    assert by_user(frame(rows)).rows() == sorted(rows, key=lambda row: row[0])


@given(ROWS, st.booleans(), st.integers(1, 3))
def test_of_a_user_the_latest_comes_first(rows, in_time, step):
    rows = sorted(rows, key=lambda row: row[1:]) if in_time else rows
    numbered = frame(rows).with_columns(row=pl.int_range(0, len(rows) * step, step, dtype=pl.UInt32))
    expected = sorted(rows, key=lambda row: (row[0], -row[1], -row[2]))
    assert latest_first(numbered.reverse(), "at").rows() == expected


@pytest.mark.parametrize(("users", "starts"), [([], []), ([3], [0]), ([3, 3, 5, 9, 9], [0, 2, 3])])
def test_a_user_begins_where_the_key_changes(users, starts):
    assert starts_of(frame([(user, 0, 0) for user in users])).tolist() == starts
