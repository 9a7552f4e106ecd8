import numpy as np
import pytest

from benchmarks.peer_models.next_basket import PEERS, user_vectors
from tests.benchmarks.peer_models.shoppers import known_of


def test_the_latest_baskets_count_most_within_their_group_and_across_groups():
    # Three baskets in two groups: the older one has the first alone. Item 0 is in the first and the last.
    known = known_of((0, 0, 1), (0, 1, 2), (0, 0, 3), (0, 1, 3), (0, 1, 3), now=4)
    found = user_vectors(known, groups=2, within=0.9, across=0.7).toarray()
    first, second, third = 0.7 / 2, 0.9 / 2 / 2, 1 / 2 / 2
    assert found == pytest.approx(np.array([[first + third, second + third], [0, 0]]))


def test_a_user_takes_over_what_the_nearest_buy():
    # User 0 is nearer to user 1, who has item 1 too, than to user 2; user 3 has bought nothing.
    known = known_of((0, 0, 1), (1, 0, 1), (1, 1, 1), (2, 2, 1), now=2, n_users=4, n_items=3)
    setting = {"groups": 7, "within": 0.9, "across": 0.7, "alpha": 0.7, "k": 1}
    (model,) = PEERS["tifu_knn"].learn(known, setting)
    assert model.scores(np.array([0])) == pytest.approx(np.array([[0.7 + 0.3, 0.3, 0]]))
