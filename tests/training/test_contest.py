import numpy as np
import pytest

from training.contest import difference_of


def test_a_difference_is_that_of_the_challenger_to_the_champion_over_the_same_users():
    found = difference_of("all", np.array([1.0, 0.5, 0.5]), np.array([0.5, 0.0, 0.0]), "ndcg@10")
    assert (found.champion, found.challenger, found.users) == (pytest.approx(1 / 6), pytest.approx(2 / 3), 3)
    assert (found.difference, found.ci) == (0.5, (0.5, 0.5))
    assert found.few
