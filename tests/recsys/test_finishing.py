import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recsys.finishing import alike, derived_items, finished, guessed, with_event_ids
from recsys.schema import columns_of


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", None, "-2"], [1, None, -2]),
        (["1", "2.5"], [1.0, 2.5]),
        (["true", None, "False"], [True, None, False]),
        (["1", "x"], ["1", "x"]),
        (["01", "2"], ["01", "2"]),
        (["0", "0.5"], [0.0, 0.5]),
        ([None, None], [None, None]),
    ],
)
def test_text_is_a_number_or_true_and_false_where_every_value_is(texts, values):
    assert guessed(pl.Series(texts, dtype=pl.String)).to_list() == values


def test_only_columns_of_different_kinds_become_text():
    parts = [pl.DataFrame({"a": [1], "b": [1], "c": [None]}), pl.DataFrame({"a": [0.5], "b": ["x"], "c": [2]})]
    assert [part.schema for part in alike(parts)] == [
        pl.Schema({"a": pl.Int64(), "b": pl.String(), "c": pl.Null()}),
        pl.Schema({"a": pl.Float64(), "b": pl.String(), "c": pl.Int64()}),
    ]


def log(*users: str) -> pl.DataFrame:
    rows = [{"user_id": user, "item_id": "a", "event_type": "view", "timestamp": None} for user in users]
    return pl.DataFrame(rows, schema=columns_of("interactions"))


def test_event_ids_tell_repeats_apart_and_are_the_same_in_any_order():
    ids = with_event_ids(log("u", "v", "u", "u", "v"))["event_id"]
    assert ids.n_unique() == 5
    assert set(with_event_ids(log("v", "u", "v", "u", "u"))["event_id"]) == set(ids)
    # The first of its kind has the id that it has in a shorter log.
    assert with_event_ids(log("u", "v"))["event_id"].to_list() == ids.to_list()[:2]


def test_event_ids_that_are_there_stay():
    given = log("u", "v").with_columns(event_id=pl.Series(["e1", "e2"]))
    assert_frame_equal(with_event_ids(given), given)


def test_a_table_without_a_row_has_its_columns():
    assert finished("users", [], typed=True).columns == ["user_id"]
    assert derived_items(log("u")).schema == pl.Schema(columns_of("items"))
