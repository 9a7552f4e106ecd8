import numpy as np
import pytest

from benchmarks.peer_models.ease import PEERS
from tests.benchmarks.peer_models.shoppers import known_of

KNOWN = known_of((0, 0, 0), (1, 0, 1), (0, 1, 2), now=3)
SETTING = {"of": "one", "half_life_days": None, "penalty": 1.0}


def test_ease_is_the_closed_form():
    # G = [[3, 1], [1, 2]], its inverse [[2, -1], [-1, 3]] / 5: the weights are 1/3 from item 0 to 1 and 1/2 back.
    (model,) = PEERS["ease"].learn(KNOWN, SETTING)
    assert model.scores(np.array([0, 1])) == pytest.approx(np.array([[1 / 2, 1 / 3], [0, 1 / 3]]))


def test_frequency_adds_what_the_user_had():
    (model,) = PEERS["ease_and_frequency"].learn(KNOWN, {**SETTING, "own": 2.0, "own_half_life_days": None})
    assert model.scores(np.array([0, 1])) == pytest.approx(np.array([[2.5, 2 + 1 / 3], [2, 1 / 3]]))
