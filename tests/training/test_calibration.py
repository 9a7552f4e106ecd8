import numpy as np
import pytest

from training.calibration import calibration


def test_the_bins_hold_the_candidates_of_all_users_from_the_highest_score_on():
    # 200 candidates of two users with scores 199 … 0; chosen is the best, and one more of the best 2 %.
    candidates = [np.arange(100), np.arange(100)]
    scores = [np.arange(199.0, 0, -2), np.arange(198.0, -1, -2)]
    bins = calibration(candidates, scores, [frozenset([0]), frozenset([1])])
    assert [(one["from"], one["to"]) for one in bins][:3] == [(0.0, 0.01), (0.01, 0.02), (0.02, 0.05)]
    assert [one["candidates"] for one in bins] == [2, 2, 6, 10, 20, 40, 60, 60]
    assert [one["scores"] for one in bins][:2] == [[198.0, 199.0], [196.0, 197.0]]
    assert [one["rate"] for one in bins] == [0.5, 0.5, 0, 0, 0, 0, 0, 0]
    assert all(one["rate_ci"][0] <= one["rate"] <= one["rate_ci"][1] for one in bins)


def test_bins_that_would_be_empty_are_left_out():
    bins = calibration([np.array([7, 8, 9])], [np.array([1.0, 3.0, 2.0])], [frozenset([8])])
    assert [(one["from"], one["to"], one["rate"]) for one in bins] == [
        (0.1, 0.2, 1.0),
        (0.4, 0.7, 0.0),
        (0.7, 1.0, 0.0),
    ]


def test_a_user_who_has_more_candidates_counts_more():
    bins = calibration([np.arange(1), np.arange(9)], [np.full(1, 1.0), np.full(9, 1.0)], [frozenset([0]), frozenset()])
    assert sum(one["rate"] * one["candidates"] for one in bins) == pytest.approx(1)
    assert sum(one["candidates"] for one in bins) == 10
