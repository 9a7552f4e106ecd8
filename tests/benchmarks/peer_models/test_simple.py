import numpy as np
import pytest

from benchmarks.peer_models.simple import PEERS
from tests.benchmarks.peer_models.shoppers import known_of

# Shopper 0 took item 0 twice and item 1 once, shopper 1 items 1 and 2; who took item 3 did so long ago.
ROWS = ((1, 3, 0), (0, 3, 0), (0, 0, 95), (0, 0, 96), (0, 1, 97), (1, 1, 98), (1, 2, 99))
KNOWN = known_of(*ROWS, now=100, n_items=4)
USERS = np.array([0, 1])


def scores(name: str, setting: dict[str, object]) -> np.ndarray:
    (model,) = PEERS[name].learn(KNOWN, setting)
    return model.scores(USERS)


def test_popularity_is_that_of_the_last_days():
    assert scores("popularity", {"days": 28}).tolist() == [[1, 2, 1, 0]] * 2
    assert scores("popularity", {"days": 365}).tolist() == [[1, 2, 1, 2]] * 2


def test_personal_frequency_breaks_ties_by_popularity():
    (model,) = PEERS["personal_frequency"].learn(KNOWN, {})
    # Shopper 1 took 1, 2 and 3 once each: the popular first, then by what others take.
    assert model.top(USERS, seen=True, limit=4).tolist() == [[0, 1, 3, 2], [1, 2, 3, 0]]


def test_frequency_and_popularity_are_added_with_a_weight():
    setting = {"of": "count", "half_life_days": None, "days": 28, "weight": 0.5}
    expected = [[2.25, 1.5, 0.25, 1.0], [0.25, 1.5, 1.25, 1.0]]
    assert scores("frequency_and_popularity", setting) == pytest.approx(np.array(expected))
