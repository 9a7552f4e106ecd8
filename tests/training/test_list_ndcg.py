import numpy as np
import pytest

from training.list_ndcg import ListNdcg


def test_the_mean_over_lists_of_gains_by_place():
    lists = ListNdcg(np.array([0, 2, 1, 1, 0], dtype=np.int32), np.array([3, 2]))
    assert lists.mean(np.array([1.0, 3.0, 2.0, 2.0, 1.0])) == 1
    # In the first list 2 ** 2 - 1 at the third place and 2 ** 1 - 1 at the second; in the second at the second place.
    first = (1 / np.log2(3) + 3 / np.log2(4)) / (3 + 1 / np.log2(3))
    assert lists.mean(np.array([3.0, 1.0, 2.0, 1.0, 2.0])) == pytest.approx((first + 1 / np.log2(3)) / 2)


def test_what_stands_below_the_tenth_place_counts_nothing():
    gains = np.zeros(12, dtype=np.int32)
    gains[0] = 1
    assert ListNdcg(gains, np.array([12])).mean(np.arange(12.0)) == 0
