"""Intervals that are looked at again and again hold the truth all the time."""

import math

import numpy as np
import pytest

from recsys.sequential import FEWEST, Group, of_difference, of_share, radius

LOOKS = np.linspace(200, 10_000, 50).astype(int)
RUNS = 400


def simulated(rate_first: float, rate_second: float, seed: int = 1):
    """For each run the intervals of each look: users arrive one by one, in either group, and convert or not."""
    random = np.random.default_rng(seed)
    for _ in range(RUNS):
        in_second = random.random(LOOKS[-1]) < 0.5
        converts = random.random(LOOKS[-1]) < np.where(in_second, rate_second, rate_first)
        seen = [np.cumsum(~in_second)[LOOKS - 1], np.cumsum(in_second)[LOOKS - 1]]
        done = [np.cumsum(converts & ~in_second)[LOOKS - 1], np.cumsum(converts & in_second)[LOOKS - 1]]
        found = []
        for at in range(len(LOOKS)):
            groups = []
            for users, successes in zip(seen, done, strict=True):
                mean = successes[at] / users[at]
                groups.append(Group(int(users[at]), mean, mean * (1 - mean) * users[at] / (users[at] - 1)))
            found.append(of_difference(*groups, planned=10_000))
        yield [each for each in found if each is not None]


def test_of_400_experiments_without_an_effect_looked_at_50_times_at_most_5_percent_ever_exclude_zero():
    wrong = sum(any(each.low > 0 or each.high < 0 for each in looks) for looks in simulated(0.1, 0.1))
    assert wrong <= 0.05 * RUNS
    # The usual interval does not bear that: this is what the sequence is for.
    width = {"usual": 1.959964}
    usual = 0
    for looks in simulated(0.1, 0.1):
        ratios = [
            abs(each.value) / (each.high - each.value) * radius(int(n), planned=10_000)
            for each, n in zip(looks, LOOKS, strict=False)
        ]
        usual += max(ratios) > width["usual"]
    assert usual > 0.2 * RUNS


def test_a_true_effect_is_found_by_most_and_covered_at_every_look():
    found, missed = 0, 0
    for looks in simulated(0.10, 0.13):
        found += any(each.low > 0 for each in looks)
        missed += any(not each.low <= 0.03 <= each.high for each in looks)
    assert found > 0.8 * RUNS
    assert missed <= 0.05 * RUNS


def test_the_radius_is_that_of_the_published_formula():
    # rho² = (-2 ln .05 + ln(-2 ln .05) + 1) / t, and t rho² = 8.7816 at the planned number.
    scaled = -2 * math.log(0.05) + math.log(-2 * math.log(0.05)) + 1
    assert scaled == pytest.approx(8.7818, abs=2e-4)
    expected = math.sqrt(2 * (scaled + 1) / scaled * math.log(math.sqrt(scaled + 1) / 0.05))
    assert radius(500, planned=500) == pytest.approx(expected) == pytest.approx(3.035, abs=1e-3)
    # Elsewhere it is wider.
    assert radius(50, planned=500) > 3.5
    assert radius(50_000, planned=500) > 3.5


def test_a_group_of_too_few_users_has_no_interval():
    enough, few = Group(FEWEST, 0.5, 0.25), Group(FEWEST - 1, 0.5, 0.25)
    assert of_difference(enough, few, planned=1000) is None
    found = of_difference(enough, Group(FEWEST, 0.75, 0.25), planned=1000)
    assert found is not None
    assert found.value == 0.25
    assert found.high - 0.25 == pytest.approx(math.sqrt(0.005) * radius(200, planned=1000))


def test_the_interval_of_a_share_ends_where_the_mixture_says():
    # One win of one: 2 p > .05.
    assert of_share(1, 1).low == pytest.approx(0.025)
    assert of_share(1, 1).high == 1.0
    # One loss of two: 3 · 2 p (1 - p) > .05.
    low = (1 - math.sqrt(1 - 4 * 0.05 / 6)) / 2
    found = of_share(1, 2)
    assert (found.value, found.low, found.high) == (0.5, pytest.approx(low), pytest.approx(1 - low))
    assert of_share(0, 0).low == 0.0
    assert of_share(0, 0).high == 1.0


def test_coins_looked_at_after_each_toss_are_called_fair_by_95_percent():
    random = np.random.default_rng(2)
    wrong = 0
    for _ in range(RUNS):
        wins = np.cumsum(random.random(300) < 0.5)
        looks = [of_share(int(wins[n - 1]), n) for n in range(10, 301, 6)]
        wrong += any(each.low > 0.5 or each.high < 0.5 for each in looks)
    assert wrong <= 0.05 * RUNS
