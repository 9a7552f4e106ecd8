from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from recsys.attributes import Attributes, stored
from recsys.errors import DataError

KINDS = {"price": "numeric", "colour": "categorical", "published_at": "timestamp"}
ITEMS = pl.DataFrame(
    {
        "item_id": ["a", "b", "c"],
        "title": [""] * 3,
        "price": [2.5, None, float("inf")],
        "colour": ["red", "blue", None],
        "published_at": [datetime(1970, 1, 2, tzinfo=UTC), None, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)],
    }
)
ATTRIBUTES = Attributes.of(KINDS, ITEMS)


def test_columns_become_numbers_and_names_their_place_among_all_names():
    found = ATTRIBUTES.of_table(ITEMS)
    assert found.dtype == np.float64
    expected = [[2.5, 1, 86_400], [np.nan, 0, np.nan], [np.nan, np.nan, 1]]
    np.testing.assert_array_equal(found, expected)


def test_a_name_that_the_catalogue_does_not_have_says_nothing_and_changes_no_other_number():
    later = pl.DataFrame({"colour": ["green", "red"]})
    np.testing.assert_array_equal(ATTRIBUTES.of_table(later)[:, 1], [np.nan, 1])


def test_an_item_as_it_is_sent_has_the_numbers_of_the_table():
    sent = {"title": "x", "price": "2.5", "colour": "red", "published_at": "1970-01-02T00:00:00Z"}
    assert ATTRIBUTES.of_item(sent).tolist() == [2.5, 1, 86_400]
    assert np.isnan(ATTRIBUTES.of_item({"title": "x", "colour": None})).all()


def test_what_has_a_meaning_of_its_own_may_be_missing():
    items = ITEMS.drop("price")
    np.testing.assert_array_equal(Attributes.of(KINDS, items).of_table(items)[:, 0], [np.nan] * 3)


def test_a_column_that_is_missing_is_refused():
    with pytest.raises(DataError, match=r"items: found the columns .* expected \['size'\]; correct item_attributes"):
        Attributes.of({"size": "numeric"}, ITEMS)


def test_a_column_that_users_lack_is_refused():
    users = pl.DataFrame({"user_id": ["u"]})
    with pytest.raises(DataError, match=r"users: found the columns .* expected \['price'\]; correct user_attributes"):
        Attributes.of({"price": "numeric"}, users, table="users")


def test_what_is_stored_keeps_names_and_becomes_the_numbers_of_the_table():
    columns = [stored(ITEMS[name], kind) for name, kind in KINDS.items()]
    assert [column.dtype for column in columns] == [pl.Float64, pl.String, pl.Float64]
    rows = [ATTRIBUTES.of_stored(values) for values in zip(*columns, strict=True)]
    np.testing.assert_array_equal(rows, ATTRIBUTES.of_table(ITEMS))
    # As the online store has what is not known, and a name that was not in the table.
    assert np.isnan(ATTRIBUTES.of_stored([np.nan, "green", np.nan])).all()


def test_numbers_may_stand_for_names():
    items = pl.DataFrame({"size": [38, 40, 9, None]})
    found = Attributes.of({"size": "categorical"}, items).of_table(items)[:, 0]
    np.testing.assert_array_equal(found, [0, 1, 2, np.nan])  # names, in the order of text
