import numpy as np
import pytest

from recsys.bootstrap import intervals, ratio_intervals, resampled_means, two_sided_p
from recsys.metrics import mean_with_interval


def test_the_interval_of_a_mean_is_about_two_standard_errors_on_either_side():
    values = np.tile([0.0, 1.0], 200)  # mean 0.5, standard error 0.5 / sqrt(400) = 0.025
    mean, low, high = mean_with_interval(values)
    assert mean == 0.5
    assert low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.006)
    assert high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.006)


def test_users_who_all_score_the_same_leave_no_doubt():
    assert mean_with_interval(np.full(7, 0.25)) == (0.25, 0.25, 0.25)


def test_the_interval_is_the_same_each_time_and_does_not_depend_on_how_many_draws_fit_in_memory(monkeypatch):
    values = np.linspace(0.0, 1.0, 50)
    whole = mean_with_interval(values)
    assert mean_with_interval(values) == whole
    monkeypatch.setattr("recsys.bootstrap.DRAWS_AT_ONCE", 100)
    assert mean_with_interval(values) == pytest.approx(whole, abs=1e-12)


def test_the_mean_over_no_users_is_refused():
    with pytest.raises(ValueError, match="no users"):
        mean_with_interval(np.array([]))


def test_all_columns_are_drawn_alike_so_that_differences_are_paired():
    values = np.random.default_rng(0).random((30, 1))
    drawn = resampled_means(np.hstack([values, values + 0.5]))
    assert drawn[:, 1] - drawn[:, 0] == pytest.approx(0.5)


def test_a_user_without_a_value_counts_neither_above_nor_below():
    values = np.array([[1.0, 1.0], [np.nan, 0.0], [1.0, 1.0]])
    mean, low, high = intervals(values)
    assert mean == pytest.approx([1.0, 2 / 3])
    assert (low[0], high[0]) == (1.0, 1.0)
    assert low[1] < 2 / 3 < high[1]


def test_a_ratio_is_of_the_sums_and_not_the_mean_of_ratios():
    # 1 of 1 and 1 of 9 are 2 of 10, where the mean of the shares would be 5 of 9.
    assert ratio_intervals(np.array([[1.0], [1.0]]), np.array([[1.0], [9.0]])).mean == pytest.approx([0.2])


def test_the_p_value_is_the_level_of_the_interval_that_just_reaches_zero():
    drawn = np.r_[np.full(10, -1.0), np.full(989, 1.0)][:, None]  # 10 of 999 are below zero
    assert two_sided_p(drawn) == pytest.approx([2 * 11 / 1000])
    assert two_sided_p(-drawn) == pytest.approx([2 * 11 / 1000])


def test_no_difference_at_all_has_the_p_value_1_and_the_clearest_never_0():
    assert two_sided_p(np.zeros((999, 1))).tolist() == [1.0]
    assert two_sided_p(np.ones((999, 1))) == pytest.approx([2 / 1000])
