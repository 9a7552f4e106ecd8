from dataclasses import replace

import numpy as np

from features.anchors import NONE, most_similar, most_together
from tests.features.families.cases import CUP, ITEMS, JAM, NEW, NOBODY, TEA, USER

VECTORS = np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0]], dtype=np.float32)


def test_the_nearest_by_text_is_found_in_the_history_and_an_item_is_not_its_own():
    # The history is cup and tea. Jam has a cosine of 0.8 to cup and of 0.6 to tea; tea and cup are at right angles.
    assert most_similar(USER, VECTORS, np.array([JAM, NEW, TEA, CUP])).tolist() == [0, NONE, NONE, NONE]
    near = VECTORS.copy()
    near[CUP] = [0.8, 0.6]
    assert most_similar(USER, near, np.array([TEA, CUP])).tolist() == [0, 1]


def test_what_goes_with_an_item_is_that_of_the_regression_and_else_of_what_the_same_users_chose():
    # Regression: tea says 3 of cup and -1 of jam, cup says 4 of tea and 2 of jam.
    assert most_together(USER, ITEMS, np.array([JAM, TEA, CUP, NEW])).tolist() == [0, 0, 1, NONE]
    neighbours = ITEMS.neighbours
    without = replace(ITEMS, neighbours=neighbours._replace(regression=neighbours.regression * 0))
    # Co-occurrence: tea goes with jam by 0.75, cup by 0.25.
    assert most_together(USER, without, np.array([JAM])).tolist() == [1]


def test_what_was_chosen_long_ago_says_less():
    # Cup said 2 of jam on day 92; a year of days before, that is less than half of it, and tea says 1 now.
    neighbours = ITEMS.neighbours
    regression = neighbours.regression.tolil()
    regression[TEA, JAM] = 1.0
    items = replace(ITEMS, neighbours=neighbours._replace(regression=regression.tocsr()))
    assert most_together(USER, items, np.array([JAM])).tolist() == [0]
    long_ago = replace(USER, last_at=USER.last_at - np.array([366 * 86_400.0, 0.0]))
    assert most_together(long_ago, items, np.array([JAM])).tolist() == [1]


def test_a_user_without_a_history_has_none():
    assert most_similar(NOBODY, VECTORS, np.array([TEA, JAM])).tolist() == [NONE, NONE]
    assert most_together(NOBODY, ITEMS, np.array([TEA, JAM])).tolist() == [NONE, NONE]
