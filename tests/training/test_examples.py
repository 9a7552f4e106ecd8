from datetime import timedelta

import numpy as np
import pytest

from recsys.errors import DataError, LeakError
from tests.training.project import at, catalogue_of, chosen
from training.examples import SHARPNESS, assert_out_of_fold, chosen_together

CATALOGUE = catalogue_of("a", "b", "c", "d")
NONE_HELD_OUT = np.zeros(4, dtype=np.bool_)
# u chose two items, v all but d.
ROWS = (("u", "a", 1), ("u", "b", 2), ("v", "a", 3), ("v", "b", 4), ("v", "c", 5), ("w", "d", 6))


def test_the_strength_of_a_pair_is_its_cosine_with_users_weighted_down_by_their_size():
    found = chosen_together(chosen(*ROWS), CATALOGUE, held_out=NONE_HELD_OUT).strength.toarray()
    a_and_b = (1 / 2 + 1 / 3) / np.sqrt(2 * 2)
    a_and_c = (1 / 3) / np.sqrt(2 * 1)
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = a_and_b
    expected[[0, 1, 2, 2], [2, 2, 0, 1]] = a_and_c
    np.testing.assert_allclose(found, expected**SHARPNESS, rtol=1e-5)


def test_choosing_an_item_again_changes_nothing():
    once = chosen_together(chosen(*ROWS), CATALOGUE, held_out=NONE_HELD_OUT)
    twice = chosen_together(chosen(*ROWS, ("u", "a", 5), ("u", "a", 5)), CATALOGUE, held_out=NONE_HELD_OUT)
    np.testing.assert_array_equal(once.strength.toarray(), twice.strength.toarray())


def test_items_are_those_that_share_a_user_with_another():
    assert chosen_together(chosen(*ROWS), CATALOGUE, held_out=NONE_HELD_OUT).items.tolist() == [0, 1, 2]


def test_held_out_items_are_as_if_nobody_ever_chose_them():
    held_out = np.array([False, False, True, False])
    found = chosen_together(chosen(*ROWS), CATALOGUE, held_out=held_out)
    without = chosen_together(chosen(*(row for row in ROWS if row[1] != "c")), CATALOGUE, held_out=NONE_HELD_OUT)
    np.testing.assert_array_equal(found.strength.toarray(), without.strength.toarray())
    assert found.items.tolist() == [0, 1]


def test_items_that_are_not_in_the_catalogue_are_as_if_nobody_ever_chose_them():
    found = chosen_together(chosen(*ROWS, ("u", "gone", 9)), CATALOGUE, held_out=NONE_HELD_OUT)
    assert found.seen_until == at(6)
    np.testing.assert_array_equal(
        found.strength.toarray(), chosen_together(chosen(*ROWS), CATALOGUE, held_out=NONE_HELD_OUT).strength.toarray()
    )


def test_seen_until_is_the_latest_interaction_that_was_learned_from():
    assert chosen_together(chosen(*ROWS), CATALOGUE, held_out=NONE_HELD_OUT).seen_until == at(6)
    last_held_out = np.array([False, False, False, True])
    assert chosen_together(chosen(*ROWS), CATALOGUE, held_out=last_held_out).seen_until == at(5)


def test_without_two_items_of_one_user_there_is_nothing_to_draw():
    found = chosen_together(chosen(("u", "a", 1), ("v", "b", 2)), CATALOGUE, held_out=NONE_HELD_OUT)
    assert found.items.tolist() == []


def test_when_every_interaction_is_held_out_the_error_says_what_to_do():
    with pytest.raises(DataError, match=r"none are left to learn from; import more, or set finetune\.max_steps = 0"):
        chosen_together(chosen(*ROWS), CATALOGUE, held_out=~NONE_HELD_OUT)


def test_a_model_may_score_a_window_that_begins_after_all_that_it_learned_from():
    assert_out_of_fold(at(3) - timedelta(microseconds=1), at(3))


@pytest.mark.parametrize("too_late", [timedelta(0), timedelta(days=1)])
def test_a_model_that_learned_from_the_window_that_it_is_to_score_is_refused(too_late):
    with pytest.raises(LeakError, match=r"until 2024-01-0. 00:00:00.* score rows from 2024-01-04 00:00:00"):
        assert_out_of_fold(at(3) + too_late, at(3))
