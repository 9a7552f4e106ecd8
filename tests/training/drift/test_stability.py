import numpy as np
import pytest
from scipy.stats import chi2

from recsys.config import Drift
from training.drift.stability import binned, by_chance, judged, moved, moved_share, stability_index

SETTINGS = Drift()


def test_the_index_is_the_sum_of_differences_times_logarithms_of_ratios():
    # 0.3 · ln 1.6 − 0.3 · ln 0.4
    assert stability_index([50, 50], [80, 20]) == pytest.approx(0.3 * np.log(4))
    assert stability_index([80, 20], [50, 50]) == pytest.approx(0.3 * np.log(4))
    assert stability_index([10, 30], [20, 60]) == 0


def test_an_empty_bin_counts_as_half_a_row_and_one_that_is_empty_in_both_not_at_all():
    expected = (1 - 0.5) * np.log(1 / 0.5) + (0.005 - 0.5) * np.log(0.005 / 0.5)
    assert stability_index([50, 50, 0], [100, 0, 0]) == pytest.approx(expected)
    assert stability_index([0, 0], [1, 2]) == 0


def test_chance_follows_the_distribution_that_the_index_has_when_nothing_moved():
    random = np.random.default_rng(0)
    shares = np.full(10, 0.1)
    found = [stability_index(random.multinomial(300, shares), random.multinomial(600, shares)) for _ in range(4000)]
    assert np.mean(found) == pytest.approx(9 * (1 / 300 + 1 / 600), rel=0.05)
    assert by_chance(10, 300, 600) == pytest.approx(chi2.isf(0.001, 9) / 200)
    assert np.mean(np.array(found) > by_chance(10, 300, 600)) < 0.004


def test_few_values_have_a_bin_each_what_is_new_has_the_last_and_nan_its_own():
    before, now = binned(np.array([0.0, 0.0, 1.0, np.nan]), np.array([1.0, 0.5, 7.0, np.nan]))
    assert before.tolist() == [2, 1, 0, 1]
    assert now.tolist() == [0, 1, 2, 1]


def test_many_values_are_binned_by_the_deciles_of_before():
    before, now = binned(np.arange(100.0), np.full(30, 95.0))
    assert before.tolist() == [10] * 10 + [0]
    assert now.tolist() == [0] * 9 + [30, 0]


@pytest.mark.parametrize(
    ("value", "chance", "level"),
    [(0.09, 0.0, "ok"), (0.1, 0.0, "note"), (0.25, 0.0, "alert"), (0.9, 0.95, "ok"), (0.3, 0.2, "alert")],
)
def test_a_level_needs_its_threshold_and_more_than_chance(value, chance, level):
    assert judged(SETTINGS, "topics", "t", value, chance=chance, before=0, now=0).level == level


def test_clicks_have_thresholds_of_their_own_and_fewer_count_as_more_do():
    settings = Drift(clicks_note=0.05, clicks_alert=0.1)
    levels = [
        judged(settings, "clicks", "clicks", value, chance=0, before=0, now=0).level for value in (-0.04, -0.06, 0.2)
    ]
    assert levels == ["ok", "note", "alert"]


def test_what_moved_is_a_figure_with_the_means_before_and_now():
    figure = moved(
        SETTINGS, "features", "f", np.array([1.0, 1, 2, np.nan]), np.array([2.0, 2, np.inf]), independent=(4, 3)
    )
    assert (figure.before, figure.now) == (pytest.approx(4 / 3), 2)
    assert figure.chance == pytest.approx(chi2.isf(0.001, 3) * (1 / 4 + 1 / 3))
    assert moved(SETTINGS, "features", "f", np.ones(9), np.zeros(9), independent=(1e6, 1e6), usual=99.0).level == "ok"


def test_a_share_is_an_index_of_two_bins_and_its_rows_are_as_independent_as_is_said():
    figure = moved_share(SETTINGS, "topics", "t", (10, 100), (30, 100))
    assert figure.value == pytest.approx(0.2 * np.log(3) - 0.2 * np.log(0.7 / 0.9))
    assert (figure.before, figure.now, figure.level) == (0.1, 0.3, "alert")
    assert moved_share(SETTINGS, "topics", "t", (10, 100), (30, 100), independent=(20, 20)).level == "ok"
