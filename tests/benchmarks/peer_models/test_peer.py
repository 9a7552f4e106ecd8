import numpy as np

from benchmarks.peer_models.peer import Scored, grid
from recsys.metrics import NO_ITEM
from tests.benchmarks.peer_models.shoppers import known_of

HAD = known_of((0, 1, 0), (1, 2, 0), now=1, n_items=3).matrix()


def test_the_best_come_first_and_equal_ones_by_position():
    model = Scored(lambda users: np.tile([1.0, 2.0, 1.0], (len(users), 1)), HAD)
    assert model.top(np.array([0, 1]), seen=True, limit=3).tolist() == [[1, 0, 2], [1, 0, 2]]


def test_what_a_user_had_is_left_out_unless_it_may_be_seen():
    model = Scored(lambda users: np.tile([1.0, 2.0, 1.0], (len(users), 1)), HAD)
    assert model.top(np.array([0, 1]), seen=False, limit=3).tolist() == [[0, 2, NO_ITEM], [1, 0, NO_ITEM]]


def test_the_published_settings_are_tried_first_and_each_once():
    settings = grid({"k": 20}, k=(10, 20, 50))
    assert settings[0] == {"k": 20}
    assert sorted(setting["k"] for setting in settings) == [10, 20, 50]
    assert settings == grid({"k": 20}, k=(10, 20, 50))
