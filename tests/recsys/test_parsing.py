from datetime import UTC, date, datetime

import polars as pl
import pytest

from recsys.parsing import missing_to_null, read_attribute, read_list, read_number, read_text, read_time

HALF_PAST_EIGHT = datetime(2010, 12, 1, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2010-12-01T08:30:00",
        "2010-12-01T08:30:00Z",
        "2010-12-01T08:30:00.000000Z",
        "2010-12-01T09:30:00+01:00",
        "2010-12-01T09:30:00.000+0100",
        "2010-12-01 09:30+01",
        "2010-12-01 08:30",
        "2010-12-01 08:30:00",
        "2010-12-01 08:30:00 UTC",
        " 20101201T083000 ",
        "1291192200",
        "1291192200.0",
        "1291192200000",
        "1291192200000000",
    ],
)
def test_a_time_is_read_in_every_usual_form(text):
    # Together with other forms: one form must not spoil the next.
    column = pl.Series(["2010-12-01", text, None, "soon"])
    assert read_time(column).to_list() == [datetime(2010, 12, 1, tzinfo=UTC), HALF_PAST_EIGHT, None, None]


def test_eight_digits_are_a_date():
    assert read_time(pl.Series(["20101201"])).to_list() == [datetime(2010, 12, 1, tzinfo=UTC)]


@pytest.mark.parametrize("text", ["01/12/2010", "2010-13-01", "-1", "1e9", "10:30", "999999999999999999"])
def test_other_forms_of_a_time_cannot_be_read(text):
    assert read_time(pl.Series([text])).to_list() == [None]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([1291192200]),
        pl.Series([1291192200.0]),
        pl.Series([1291192200000], dtype=pl.UInt64),
        pl.Series([1291192200000000]),
        pl.Series([datetime(2010, 12, 1, 8, 30)]),
        pl.Series([HALF_PAST_EIGHT], dtype=pl.Datetime("ns", "UTC")).dt.convert_time_zone("Asia/Tokyo"),
    ],
    ids=str,
)
def test_numbers_and_moments_are_times(column):
    assert read_time(column).to_list() == [HALF_PAST_EIGHT]


def test_dates_are_midnight_and_negative_seconds_and_booleans_are_no_time():
    assert read_time(pl.Series([date(2010, 12, 1)])).to_list() == [datetime(2010, 12, 1, tzinfo=UTC)]
    assert read_time(pl.Series([-1, 10**18])).to_list() == [None, None]
    assert read_time(pl.Series([True])).to_list() == [None]


def test_a_fraction_of_a_second_is_kept():
    assert read_time(pl.Series([1.25])).to_list() == [datetime(1970, 1, 1, 0, 0, 1, 250_000, tzinfo=UTC)]
    assert read_time(pl.Series(["2010-12-01T08:30:00.000001"]))[0].microsecond == 1


def test_ids_that_went_through_a_float_column_lose_the_point():
    assert read_text(pl.Series([17850.0, None, 0.5])).to_list() == ["17850", None, "0.5"]


def test_a_number_is_finite():
    assert read_number(pl.Series([" 2.5", "1e3", "inf", "2,5", "$1", None])).to_list() == [2.5, 1000.0, *[None] * 4]
    assert read_number(pl.Series([1, 2])).to_list() == [1.0, 2.0]
    assert read_number(pl.Series([True])).to_list() == [None]


def test_a_list_is_json_or_parted_by_bars():
    column = pl.Series(["a|b", '["c", 4]', "e", "[]", "[1", '{"a": 1}', None])
    assert read_list(column, pl.List(pl.String)).to_list() == [
        ["a", "b"],
        ["c", "4"],
        ["e"],
        [],
        None,
        ['{"a": 1}'],
        None,
    ]
    assert read_list(pl.Series(["[0.5, 1]", "0.5|x"]), pl.List(pl.Float64)).to_list() == [[0.5, 1.0], [0.5, None]]
    assert read_list(pl.Series([[1, 2]]), pl.List(pl.String)).to_list() == [["1", "2"]]


def test_blank_text_and_nan_are_missing():
    assert missing_to_null(pl.Series(["", " \t", " a "])).to_list() == [None, None, " a "]
    assert missing_to_null(pl.Series([float("nan"), 1.0])).to_list() == [None, 1.0]


def test_attributes_stay_as_they_are_but_lists_and_objects_become_json():
    assert read_attribute(pl.Series([["a"], None])).to_list() == ['["a"]', None]
    assert read_attribute(pl.Series([{"k": 1}])).to_list() == ['{"k":1}']
    assert read_attribute(pl.Series(["x"], dtype=pl.Categorical)).dtype == pl.String
    assert read_attribute(pl.Series([date(2024, 1, 1)])).dtype == pl.Date


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_moment_that_its_zone_puts_outside_of_every_calendar_is_unreadable(text):
    assert read_time(pl.Series([text, "2024-05-01"])).to_list() == [None, datetime(2024, 5, 1, tzinfo=UTC)]
