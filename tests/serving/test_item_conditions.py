import polars as pl
import pytest

from recsys.rules.columns import types_of
from recsys.rules.expression import condition
from recsys.rules.listing import NO_CATEGORY
from serving.item_conditions import ItemConditions

ITEMS = pl.DataFrame({"item_id": ["a", "b"], "price": [10.0, 60.0], "category": ["cup", None]})
TYPES = types_of(ITEMS)


@pytest.fixture
def conditions() -> ItemConditions:
    return ItemConditions(ITEMS, TYPES, [condition("price < 50", TYPES), condition("item_id != 'b'", TYPES)])


def test_each_condition_is_met_by_its_own_items(conditions):
    assert conditions.met(0).tolist() == [True, False]
    assert conditions.met(1).tolist() == [True, False]
    assert conditions.categories.tolist() == [0, NO_CATEGORY]


def test_items_that_are_changed_and_added_are_followed(conditions):
    added = {3: {"item_id": "d", "category": "lamp"}, 2: {"item_id": "c", "price": 5, "category": "cup"}}
    conditions.follow({0: {"item_id": "a", "price": 99, "category": None}, **added})
    conditions.follow({})
    assert conditions.met(0).tolist() == [False, False, True, False]
    assert conditions.met(1).tolist() == [True, False, True, True]
    assert conditions.categories.tolist() == [NO_CATEGORY, NO_CATEGORY, 0, 1]


def test_items_may_be_added_one_by_one(conditions):
    for position in (2, 3):
        conditions.follow({position: {"item_id": "x", "price": 1}})
    assert conditions.met(0).tolist() == [True, False, True, True]
