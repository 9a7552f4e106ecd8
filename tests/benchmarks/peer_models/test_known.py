from math import log

import numpy as np
import pytest

from benchmarks.peer_models.known import SECONDS_A_DAY
from tests.benchmarks.peer_models.shoppers import known_of

# Shopper 0 took item 0 on day 0, twice in one basket, and on day 10; shopper 1 item 1 on day 5.
KNOWN = known_of((0, 0, 0), (0, 0, 0), (1, 1, 5), (0, 0, 10), now=20)


@pytest.mark.parametrize(
    ("of", "half_life_days", "expected"),
    [
        ("count", None, [[2, 0], [0, 1]]),
        ("log", None, [[log(3), 0], [0, log(2)]]),
        ("one", None, [[1, 0], [0, 1]]),
        # 20, 15 and 10 days ago.
        ("count", 10, [[0.25 + 0.5, 0], [0, 0.5**1.5]]),
        ("one", 10, [[0.5, 0], [0, 0.5**1.5]]),
    ],
)
def test_a_matrix_counts_moments_by_their_age(of, half_life_days, expected):
    assert KNOWN.matrix(of, half_life_days).toarray() == pytest.approx(np.array(expected))


def test_popularity_counts_distinct_users_of_the_last_days():
    assert KNOWN.popularity(None).tolist() == [1, 1]
    assert KNOWN.popularity(10).tolist() == [1, 0]


def test_what_was_known_before_a_moment_is_aged_from_there():
    earlier = KNOWN.before(10 * SECONDS_A_DAY)
    assert earlier.matrix("count", half_life_days=10).toarray() == pytest.approx(np.array([[0.5, 0], [0, 0.5**0.5]]))
