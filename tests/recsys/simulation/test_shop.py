import numpy as np
import pytest

from recsys.simulation import Settings, Simulated, simulate
from recsys.simulation.shop import repeated, shares


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return simulate(Settings(users=50, items=60, impressions=20_000, list_length=4, exploration=0.4))


def test_a_repeated_item_is_one_that_stood_before_in_its_list():
    found = repeated(np.array([[7, 8, 7, 7], [1, 2, 3, 4]]))
    assert found.tolist() == [[False, False, True, True], [False] * 4]


def test_shares_of_weights_1_and_3_are_a_quarter_and_all():
    assert shares(np.log([1.0, 3.0])).tolist() == pytest.approx([0.25, 1.0])


def test_a_propensity_is_that_of_the_usual_place_or_that_of_chance(simulated: Simulated):
    # 0.4 of the lists at random over four places: 0.1; the usual place 0.6 more.
    assert set(np.round(simulated.propensities, 12).ravel()) == {0.1, 0.7}


def test_propensities_are_how_often_it_happens(simulated: Simulated):
    # One over the propensity of what was shown has the mean "number of items that can stand there", whatever is shown.
    weights = 1 / simulated.propensities
    error = weights.std(axis=0) / np.sqrt(len(weights))
    assert (np.abs(weights.mean(axis=0) - 4) < 4 * error).all()


def test_without_exploration_every_place_is_certain():
    found = simulate(Settings(users=10, items=30, impressions=100, exploration=0.0))
    assert (found.propensities == 1).all()


def test_what_is_taken_for_popular_stands_first(simulated: Simulated):
    mean = simulated.shop.popularity[simulated.shown].mean(axis=0)
    assert (np.diff(mean) < 0).all()


def test_users_are_shown_more_of_what_they_like_than_chance_would(simulated: Simulated):
    tastes = simulated.truth.users.tastes(simulated.shown_to, simulated.at)
    liking = np.einsum("nt,nlt->nl", tastes, simulated.truth.items.topics[simulated.shown])
    anything = tastes @ simulated.truth.items.topics.mean(axis=0)
    assert liking.mean() > 1.5 * anything.mean()
