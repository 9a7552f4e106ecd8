from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import DataError
from recsys.sources import Chunk
from recsys.validation import SeenKeys, Validator


def chunk(rows: pl.DataFrame) -> Chunk:
    return Chunk("log", rows, pl.Series(range(1, rows.height + 1)))


@given(frames=st.lists(st.lists(st.integers(0, 20), max_size=10), max_size=8))
def test_a_key_is_new_once_over_all_frames(frames):
    seen, known = SeenKeys(), set()
    for keys in frames:
        fresh = []
        for key in keys:
            fresh.append(key not in known)
            known.add(key)
        frame = pl.DataFrame({"key": [str(key) for key in keys]}, schema={"key": pl.String})
        assert seen.first(frame).tolist() == fresh


def test_good_rows_are_typed_and_every_raw_row_has_a_reason_or_none():
    validate = Validator("users", {}, ("view",))
    good, reason = validate(chunk(pl.DataFrame({"user_id": [1, None, 1, 2], "age": [30, 40, 50, 60]})))
    assert good.to_dict(as_series=False) == {"user_id": ["1", "2"], "age": [30, 60]}
    assert reason.to_list() == [None, "missing user_id", "duplicate user_id", None]


def test_a_row_has_the_first_reason_that_applies():
    validate = Validator("interactions", {}, ("view",), pl.Series(["a"]))
    rows = pl.DataFrame({"user_id": [None], "item_id": ["z"], "event_type": ["swipe"], "timestamp": ["never"]})
    assert validate(chunk(rows))[1].to_list() == ["missing user_id"]


def test_categories_and_moments_of_a_parquet_file_are_read_like_text():
    kind = pl.Series("event_type", ["view", " "], dtype=pl.Categorical)
    moment = datetime(2024, 5, 1, tzinfo=UTC)
    rows = pl.DataFrame({"user_id": [b"u", b"\xff"], "item_id": [1.0, 2.0], "timestamp": [moment] * 2})
    good, reason = Validator("interactions", {}, ("view", "buy"))(chunk(rows.with_columns(kind)))
    assert good.select("user_id", "item_id", "event_type", "timestamp").rows() == [("u", "1", "view", moment)]
    assert reason.to_list() == [None, "unreadable user_id"]


def test_a_misspelt_column_name_is_an_error_where_there_are_no_attributes():
    with pytest.raises(DataError, match=r"\[columns.interactions\] names \['usr_id'\], expected some of"):
        Validator("interactions", {"usr_id": "who"}, ("view",))


def test_a_column_without_a_name_is_no_attribute():
    rows = pl.DataFrame({"": [0], "user_id": ["u"]})
    assert Validator("users", {}, ("view",))(chunk(rows))[0].columns == ["user_id"]
