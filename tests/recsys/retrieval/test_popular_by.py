from dataclasses import replace

import numpy as np
import pytest

from recsys.retrieval.popular_by import PRIOR_CHOICES, popular_by
from recsys.state import PopularityBy
from tests.recsys.retrieval.states import items, query, user

NEVER = -np.inf
# Of country 0 two users chose item 2 and one item 0; of country 1 nobody anything; of country 2 five item 1.
COUNTS = PopularityBy.of(1, np.array([2, 0, 0]), np.array([1, 2, 0]), np.array([5.0, 2.0, 1.0]), 3)
SHOP = replace(items([12, 5, 3]), popularity_by={"country": COUNTS})


def scores_of(*attributes: float, shop=SHOP, name: str = "country") -> list[float]:
    who = replace(user(), attributes=np.array(attributes))
    return popular_by(name)(query(who, shop)).tolist()


def test_what_users_of_the_same_value_chose_counts_beside_choices_spread_as_those_of_all():
    # All chose 20 in all: 12 of them item 0, and 3 item 2.
    assert scores_of(31, 0) == pytest.approx([1 + PRIOR_CHOICES * 12 / 20, NEVER, 2 + PRIOR_CHOICES * 3 / 20])


def test_many_users_of_the_same_value_outweigh_all_others():
    many = COUNTS._replace(users=COUNTS.users * 1e6)
    scores = scores_of(31, 0, shop=replace(SHOP, popularity_by={"country": many}))
    assert np.argsort(scores)[::-1].tolist() == [2, 0, 1]


def test_a_value_whose_users_chose_nothing_and_one_that_is_not_known_bring_nothing():
    assert scores_of(31, 1) == [NEVER] * 3
    assert scores_of(31, np.nan) == [NEVER] * 3
    assert popular_by("country")(query(user(), SHOP)).tolist() == [NEVER] * 3


def test_an_attribute_of_which_nothing_was_counted_brings_nothing():
    assert scores_of(31, 0, name="plan") == [NEVER] * 3


def test_items_that_nobody_chose_lately_are_no_reason_to_divide_by_nought():
    quiet = replace(items([0, 0, 0]), popularity_by={"country": COUNTS})
    assert scores_of(31, 2, shop=quiet) == [NEVER, 5, NEVER]
