import numpy as np
import pytest
from scipy.special import ndtr

from recsys.rules.exploration import best_of, deviations, draw, probability_of_highest

ALL = np.ones(4, dtype=np.bool_)
VALUES = np.array([0.5, 0.9, 0.1, 0.7])


def draws(**settings):
    return [draw(VALUES, ALL, np.random.default_rng(seed), **settings) for seed in range(3000)]


def test_epsilon_is_the_best_or_any_of_the_pool_alike():
    found = draws(share=0.3, pool=3)
    # The pool is rows 1, 3 and 0: each .3 / 3, and the best .7 more.
    assert {drawn.row: drawn.propensity for drawn in found} == pytest.approx({1: 0.8, 3: 0.1, 0: 0.1})
    assert all(drawn.is_best == (drawn.row == 1) for drawn in found)


@pytest.mark.parametrize("deviation", [None, np.array([0.3, 0.05, 0.5, 0.2])])
def test_each_row_is_drawn_as_often_as_its_propensity_says(deviation):
    found = draws(share=0.6, pool=4, deviation=deviation)
    rows = np.array([drawn.row for drawn in found])
    said = {drawn.row: drawn.propensity for drawn in found}
    assert len(said) == 4
    assert sum(said.values()) == pytest.approx(1)
    for row, propensity in said.items():
        error = np.sqrt(propensity * (1 - propensity) / len(found))
        assert np.mean(rows == row) == pytest.approx(propensity, abs=4 * error)


def test_a_row_that_is_not_allowed_is_never_drawn_and_the_pool_is_what_is_left():
    allowed = np.array([True, False, False, True])
    found = [draw(VALUES, allowed, np.random.default_rng(seed), share=1.0, pool=9) for seed in range(50)]
    assert {(drawn.row, drawn.propensity) for drawn in found} == {(0, 0.5), (3, 0.5)}


def test_the_best_is_the_first_of_the_highest_that_are_allowed():
    assert best_of(np.array([3.0, 5.0, 4.0, 4.0]), np.array([True, False, True, True])) == 2


def test_what_was_shown_often_is_known_better_but_never_for_sure():
    assert deviations(np.array([0.0, 3.0, 99.0, 1e6]), 0.2) == pytest.approx([0.2, 0.1, 0.02, 0.02])


def test_the_chance_of_two_is_that_of_their_difference():
    mean, deviation = np.array([0.2, 0.5]), np.array([0.3, 0.4])
    # The difference is normal with mean .3 and standard deviation .5.
    assert probability_of_highest(1, mean, deviation) == pytest.approx(ndtr(0.6), abs=1e-9)
    assert probability_of_highest(0, mean, deviation) == pytest.approx(ndtr(-0.6), abs=1e-9)


def test_the_chances_of_many_add_up_to_one_even_when_some_are_known_ten_times_better():
    random = np.random.default_rng(0)
    mean, deviation = random.random(20) * 0.2, np.where(random.random(20) < 0.5, 0.1, 0.01)
    assert sum(probability_of_highest(at, mean, deviation) for at in range(20)) == pytest.approx(1, abs=1e-7)


def test_one_alone_is_sure():
    assert probability_of_highest(0, np.array([0.4]), np.array([0.1])) == pytest.approx(1)
    drawn = draw(np.array([0.4]), np.ones(1, dtype=np.bool_), np.random.default_rng(0), share=1.0, pool=5)
    assert drawn == (0, 1.0, True)
