import numpy as np
import pytest

from features import standing as module
from features.standing import STANDING_FEATURES, sample_of, standing

INTEREST = np.array([0.25, 0.5, 1.0, 0.75], dtype=np.float32)
USERS = np.array([0.0, 7.0, 1.0, 3.0])


def test_each_is_in_standard_deviations_from_the_mean_of_the_sample():
    sample = np.array([0, 2])
    found = standing(INTEREST, USERS, INTEREST[sample], USERS[sample])
    assert (found.dtype, found.shape) == (np.float32, (4, len(STANDING_FEATURES)))
    # The sample has 0.25 and 1 for interest; 4 and 16 + log 2 with popularity.
    assert found[:, 0] == pytest.approx((INTEREST - 0.625) / 0.375, rel=1e-4)
    low, high = 4.0, 16 + np.log(2)
    popular = np.array([low, 8 + np.log(8), high, 12 + np.log(4)])
    assert found[:, 1] == pytest.approx((popular - (low + high) / 2) / ((high - low) / 2), rel=1e-4)


def test_in_a_catalogue_of_items_that_are_all_alike_nothing_stands_out():
    alike, users = np.full(5, 0.3, dtype=np.float32), np.full(5, 2.0)
    assert standing(alike, users, alike, users) == pytest.approx(np.zeros((5, 2)), abs=0.2)


@pytest.mark.parametrize(("n_items", "expected"), [(1, [0]), (3, [0, 1, 2]), (101, [0, 50, 100])])
def test_the_sample_is_spread_evenly_over_the_catalogue(monkeypatch, n_items, expected):
    monkeypatch.setattr(module, "SAMPLE", 3)
    sample_of.cache_clear()
    assert sample_of(n_items).tolist() == expected
    sample_of.cache_clear()


def test_of_a_catalogue_smaller_than_the_sample_every_item_is_in_it():
    assert sample_of(20).tolist() == list(range(20))
