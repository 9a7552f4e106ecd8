import numpy as np
import pytest

from recsys.retrieval.popular_in_category import popular_in_category
from tests.recsys.retrieval.states import UNKNOWN, items, query, user

NEVER = -np.inf
SHOP = items([6, 2, 30, 0, 5, UNKNOWN], categories=[0, 0, 1, 1, -1, 0])


def scores_of(affinity: dict[int, float] | None) -> list[float]:
    return popular_in_category(query(user(affinity=affinity), SHOP)).tolist()


def test_the_score_is_the_share_of_the_category_for_the_user_times_that_of_the_item_in_it():
    # Three quarters of the interest are in category 0, where the items have 6 and 2 of 8 users.
    assert scores_of({0: 3.0, 1: 1.0}) == pytest.approx([0.75 * 6 / 8, 0.75 * 2 / 8, 0.25, NEVER, NEVER, NEVER])


def test_of_a_category_that_the_user_does_not_care_for_nothing_is_brought():
    assert scores_of({1: 2.0}) == pytest.approx([NEVER, NEVER, 1.0, NEVER, NEVER, NEVER])


def test_a_category_that_the_catalogue_does_not_have_takes_no_share():
    assert scores_of({0: 1.0, -1: 9.0})[:2] == pytest.approx([6 / 8, 2 / 8])
    assert scores_of({-1: 9.0}) == [NEVER] * 6


def test_a_category_of_no_item_takes_its_share_along():
    assert scores_of({7: 1.0, 1: 1.0})[2] == pytest.approx(0.5)


def test_a_user_without_affinity_and_items_without_categories_give_nothing():
    assert scores_of(None) == [NEVER] * 6
    assert popular_in_category(query(user(affinity={0: 1.0}), items([1, 2]))).tolist() == [NEVER, NEVER]
