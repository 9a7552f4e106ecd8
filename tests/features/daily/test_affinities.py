import polars as pl
import pytest

from features.daily.affinities import affinities, categories_of
from features.daily.interest import as_of
from tests.features.daily.cases import CATALOGUE
from tests.features.log import catalogue_of, day

USERS = pl.DataFrame({"user_key": [3, 5], "user_id": ["bob", "ann"]}, schema_overrides={"user_key": pl.UInt64})
ITEMS = pl.Series("item_id", ["cup", "gone", "jam", "tea"])


def test_an_item_has_the_category_that_it_had_then_and_may_have_none():
    assert categories_of(ITEMS, CATALOGUE, day(60)).to_list() == ["dish", None, None, "herb"]
    assert categories_of(ITEMS, CATALOGUE, day(61)).to_list() == ["dish", None, None, "drink"]
    assert categories_of(ITEMS, catalogue_of("ab"), day(61)).to_list() == [None] * 4


def test_interest_in_the_items_of_a_category_adds_up_and_is_that_of_the_moment():
    pairs = pl.DataFrame(
        {"user_key": [5, 5, 5, 3], "item_key": [0, 3, 0, 2], "interest": [4.0, 1.0, 2.0, 7.0]},
        schema_overrides={"user_key": pl.UInt64, "item_key": pl.UInt32},
    )
    [ann] = affinities(USERS, pairs, categories_of(ITEMS, CATALOGUE, day(61)), day(62), day(61)).rows(named=True)
    assert ann == {
        "user_id": "ann",
        "event_timestamp": day(62),
        "affinity_categories": ["dish", "drink"],
        "affinity_weights": [pytest.approx(6 * as_of(day(61))), pytest.approx(as_of(day(61)))],
    }
