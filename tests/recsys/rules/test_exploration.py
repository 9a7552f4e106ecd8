import numpy as np
import pytest
from scipy.special import ndtr

from recsys.rules.exploration import chances_of_ranks, deviations, draw

RELEVANCE = np.array([0.9, 0.5, 0.7, 0.1])
"""In their usual order, which is not that of relevance."""
TIMES = 3000


def draws(**settings):
    return [draw(RELEVANCE, np.random.default_rng(seed), **settings) for seed in range(TIMES)]


def test_epsilon_leaves_the_usual_order_or_takes_any_alike():
    found = draws(share=0.4, shown=3)
    # The usual item of a place has .6 + .4 / 4, any other .4 / 4, whether this list was explored or not.
    for drawn in found:
        usual = drawn.order[:3] == np.arange(3)
        assert drawn.propensities == pytest.approx(np.where(usual, 0.7, 0.1))
        assert sorted(drawn.order) == [0, 1, 2, 3]
    assert len({tuple(drawn.order) for drawn in found}) == 24


@pytest.mark.parametrize("deviation", [None, np.array([0.3, 0.05, 0.5, 0.2])])
def test_each_item_stands_at_each_place_as_often_as_its_propensity_says(deviation):
    found = draws(share=0.6, shown=4, deviation=deviation)
    orders = np.array([drawn.order for drawn in found])
    for place in range(4):
        said = {drawn.order[place]: drawn.propensities[place] for drawn in found}
        assert len(said) == 4
        assert sum(said.values()) == pytest.approx(1, abs=1e-8)
        for item, propensity in said.items():
            error = np.sqrt(propensity * (1 - propensity) / TIMES)
            assert np.mean(orders[:, place] == item) == pytest.approx(propensity, abs=4 * error)


def test_what_is_never_explored_is_certain_and_so_is_one_item_alone():
    assert draws(share=0.0, shown=4, deviation=np.full(4, 0.5))[0].propensities.tolist() == [1, 1, 1, 1]
    alone = draw(np.array([0.4]), np.random.default_rng(0), share=1.0, shown=1, deviation=np.array([0.1]))
    assert alone.propensities == pytest.approx([1.0])


def test_what_was_shown_often_is_known_better_but_never_for_sure():
    assert deviations(np.array([0.0, 3.0, 99.0, 1e6]), 0.2) == pytest.approx([0.2, 0.1, 0.02, 0.02])


def test_the_ranks_of_two_are_those_of_their_difference():
    mean, deviation = np.array([0.2, 0.5]), np.array([0.3, 0.4])
    # The difference is normal with mean .3 and standard deviation .5.
    first, second = ndtr(-0.6), ndtr(0.6)
    found = chances_of_ranks(mean, deviation, of=np.array([1, 0]), ranks=2)
    assert found == pytest.approx(np.array([[second, first], [first, second]]), abs=1e-8)


def test_of_items_of_which_the_same_is_known_every_rank_is_as_probable_as_another():
    found = chances_of_ranks(np.full(5, 0.3), np.full(5, 0.1), of=np.array([4, 0]), ranks=3)
    assert found == pytest.approx(np.full((2, 3), 0.2), abs=1e-8)


def test_an_item_known_badly_among_many_known_well_is_at_each_end_half_the_time():
    # Of nineteen others at 0 ± .01 nearly all are above or below 0 ± .1, however that falls: the middle ranks are rare.
    deviation = np.array([0.1] + [0.01] * 19)
    found = chances_of_ranks(np.zeros(20), deviation, of=np.arange(20), ranks=20)
    assert found.sum(axis=0) == pytest.approx(np.ones(20), abs=1e-8)
    assert found.sum(axis=1) == pytest.approx(np.ones(20), abs=1e-8)
    assert found[0] == pytest.approx(found[0, ::-1], abs=1e-8)
    assert found[0, 0] > 0.4
    assert found[0, 9] < 0.01
