from dataclasses import replace

import numpy as np
import pytest

from recsys.retrieval.successors_by_text import OWN, successors_by_text
from recsys.text_neighbours import EVERYTHING, TextNeighbours
from tests.recsys.retrieval.states import items, query, user

# What follows item 0: item 1, and item 2 speaks against being next. Item 3 is like item 1, item 2 is like item 0.
FOLLOWS = np.zeros((4, 4))
FOLLOWS[0] = [0, 0.8, -0.4, 0]
SHOP = items([1.0] * 4, successors=FOLLOWS)
ALIKE = TextNeighbours(np.array([[2], [3], [0], [1]], dtype=np.int32), np.ones((4, 1), dtype=np.float32))
REQUEST = replace(query(user([0]), SHOP), alike=ALIKE)


def test_an_item_has_a_share_of_its_own_score_and_the_rest_of_that_of_its_likes():
    of_history = REQUEST.from_history.successors
    of_likes = (of_history[[2, 3, 0, 1]] + EVERYTHING * of_history.mean()) / (1 + EVERYTHING)
    expected = OWN * of_history + (1 - OWN) * of_likes
    found = successors_by_text(REQUEST)
    # Item 0 is like what is not chosen next, and item 2 is that itself.
    assert found.tolist() == pytest.approx([-np.inf, expected[1], -np.inf, expected[3]])
    assert found[3] > found[1] > 0


def test_in_a_large_catalogue_those_are_scored_that_others_brought():
    found = successors_by_text(replace(REQUEST, scored=np.array([3])))
    assert found.tolist() == pytest.approx([-np.inf, -np.inf, -np.inf, successors_by_text(REQUEST)[3]])


def test_without_a_text_model_or_a_history_it_brings_nothing():
    for nothing in (replace(REQUEST, alike=None), replace(REQUEST, user=user())):
        assert successors_by_text(nothing).tolist() == [-np.inf] * 4
