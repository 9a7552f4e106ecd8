import numpy as np
import pytest

from recsys.mean_interval import Estimate, GroupedRows, limits


def each_alone(values: list[float] | np.ndarray) -> Estimate:
    own = np.arange(len(values))
    return GroupedRows(own, own).mean(np.array(values, dtype=np.float64))


def test_the_rows_of_a_request_are_summed_before_the_mean_is_taken():
    found = GroupedRows(np.array([0, 0, 1]), np.array([0, 0, 1])).mean(np.array([1.0, 2.0, 5.0]))
    assert found.value == (1 + 2 + 5) / 2


def test_without_skewness_the_interval_is_1_96_standard_errors_on_either_side():
    found = each_alone(np.tile([0.0, 1.0], 200))
    # Of 0 and 1 in equal parts: 0.5 / sqrt(399).
    assert (found.value - found.low, found.high - found.value) == pytest.approx(
        (1.95996 * 0.5 / np.sqrt(399),) * 2, rel=1e-5
    )


def test_what_a_user_repeats_counts_once():
    apart = each_alone(np.tile([0.0, 1.0, 1.0], 20))
    users = np.tile(np.arange(60), 9)
    together = GroupedRows(np.arange(540), users).mean(np.tile([0.0, 1.0, 1.0], 180))
    assert (together.low, together.high) == pytest.approx((apart.low, apart.high))


def test_the_interval_of_skewed_rows_reaches_farther_to_the_side_of_the_few_large_ones():
    found = each_alone(np.arange(400) < 10)
    assert found.high - found.value > 1.2 * (found.value - found.low)
    # The exact interval of 10 of 400 (Clopper and Pearson) is .012 to .0455.
    assert (found.low, found.high) == pytest.approx((0.012, 0.0455), abs=0.002)


def test_the_limits_of_turned_errors_are_turned():
    errors = np.array([5.0, -1.0, -1.0, -1.0, -2.0])
    low, high = limits(errors)
    assert limits(-errors) == pytest.approx((-high, -low))


def test_rows_that_are_all_the_same_leave_no_doubt():
    assert each_alone([0.5] * 4) == Estimate(0.5, 0.5, 0.5)
