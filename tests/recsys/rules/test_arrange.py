from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

from recsys.config import Diversity, Exploration
from recsys.rules.arrange import Arrangement, Candidates, arrange

# Best first: c, a, e, b, d. Categories: a, c and e are of 0, b of 1, d of none. a and c have the same text.
RELEVANCE = np.array([0.8, 0.4, 1.0, 0.2, 0.6])
CATEGORIES = np.array([0, 1, 0, -1, 0])
VECTORS = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0.6, 0.8]], dtype=np.float32)
CANDIDATES = Candidates(RELEVANCE, CATEGORIES, VECTORS, np.array([0.0, 3.0, 0.0, 8.0, 0.0]))


def arranged(**changes: Any) -> Arrangement:
    settings = {"limit": 5, "pins": {}, "max_per_category": None, "diversity": None, "exploration": None}
    return arrange(CANDIDATES, **{**settings, "random": np.random.default_rng(0), **changes})


def names(found: Arrangement) -> str:
    return "".join("abcde"[row] for row in found.rows)


def reasons(found: Arrangement) -> dict[str, str]:
    return {"abcde"[row]: why for row, why in found.why.items()}


def test_without_rules_the_order_is_that_of_relevance():
    found = arranged(limit=4)
    assert (names(found), found.propensities, found.why, found.full.tolist()) == ("caeb", None, {}, [])


def test_a_pin_has_its_place_and_the_others_close_ranks_around_it():
    found = arranged(pins={3: 0, 1: 2})
    assert names(found) == "dcbae"
    assert reasons(found) == {"d": "pinned", "b": "pinned"}


def test_of_two_pins_at_one_place_the_second_takes_the_next_and_behind_the_last_place_there_is_none():
    assert names(arranged(pins={3: 1, 1: 1})) == "cdbae"
    found = arranged(pins={1: 1, 3: 1}, limit=2)
    assert (names(found), reasons(found)) == ("cb", {"b": "pinned"})
    assert names(arranged(pins={3: 7}, limit=10)) == "caebd"


def test_no_more_of_a_category_than_its_maximum_and_what_that_kept_out_is_known():
    found = arranged(max_per_category=1)
    assert names(found) == "cbd"
    assert [*"ae"] == sorted("abcde"[row] for row in found.full)


def test_pins_count_before_all_others_of_their_category():
    assert names(arranged(max_per_category=1, pins={4: 2})) == "bde"
    assert names(arranged(max_per_category=1, pins={4: 1, 0: 0})) == "aebd"


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_diversity_puts_another_item_between_twins_and_says_so(method):
    found = arranged(diversity=Diversity(method=method, weight=0.5))
    # a is what c was: all of it is said. e is next by relevance.
    assert names(found)[:2] == "ce"
    assert reasons(found)["e"] == "diversity"
    assert "c" not in found.why


def test_diversity_looks_at_the_first_positions_alone():
    assert names(arranged(diversity=Diversity(method="mmr", weight=0.9, positions=1))) == "caebd"
    assert names(arranged(diversity=Diversity(method="mmr", weight=0.9, positions=2))) == "ceabd"
    # Third, a is worth .08 - .9 × 1, b .04 - .9 × .6 and d .02 - .9 × .8; behind it the most relevant comes.
    assert names(arranged(diversity=Diversity(method="mmr", weight=0.9, positions=3))) == "cebad"


def test_places_behind_those_of_diversity_are_explored_by_relevance():
    found = arranged(
        diversity=Diversity(method="mmr", weight=0.9, positions=1),
        exploration=Exploration(method="epsilon", share=0.0, last_position=5),
    )
    assert names(found) == "caebd"


def test_what_is_not_known_of_relevance_weighs_as_much_as_relevance_does_beside_diversity():
    two = Candidates(np.array([1.0, 0.0]), np.array([-1, -1]), VECTORS[:2], np.zeros(2))
    rules = {"limit": 2, "pins": {}, "max_per_category": None, "diversity": Diversity(method="mmr", weight=0.5)}
    explored = Exploration(method="thompson", share=1.0, uncertainty=0.5)
    found = arrange(two, **rules, exploration=explored, random=np.random.default_rng(0))
    assert found.propensities is not None
    # Worth .5 and 0, each ± .25: the difference is .5 ± .25 × √2, so the first one is higher with Φ(√2).
    sure = ndtr(np.sqrt(2))
    assert found.propensities.tolist() == pytest.approx([sure if found.rows[0] == 0 else 1 - sure, 1.0])


def test_diversity_knows_what_is_pinned_above():
    # a is pinned first, so its twin c, which is best, is worth .5 - .5, and e .3 - 0.
    assert names(arranged(diversity=Diversity(method="mmr", weight=0.5), pins={0: 0}))[:2] == "ae"


def test_a_place_that_is_not_explored_is_sure_and_one_that_is_has_the_chance_of_the_draw():
    exploration = Exploration(method="epsilon", share=0.4, pool=2, first_position=2, last_position=3)
    found = arranged(exploration=exploration, pins={3: 2})
    assert found.propensities is not None
    # The second place: the best of two has .6 + .2, the other .2. The third is pinned.
    explored = names(found)[1] != "a"
    assert found.propensities.tolist() == pytest.approx([1.0, 0.2 if explored else 0.8, 1.0, 1.0, 1.0])
    assert reasons(found) == {"d": "pinned"} | ({names(found)[1]: "explored"} if explored else {})


@pytest.mark.parametrize("method", ["epsilon", "thompson"])
def test_lists_are_drawn_as_often_as_the_product_of_their_propensities_says(method):
    """Beside a pin, a maximum per category and diversity, which all decide on what may be drawn."""
    exploration = Exploration(method=method, share=0.7, pool=3, last_position=3, uncertainty=0.5)
    rules = {"exploration": exploration, "max_per_category": 2, "diversity": Diversity(method="mmr"), "limit": 4}
    times = 3000
    lists: Counter[str] = Counter()
    first: Counter[str] = Counter()
    said: dict[str, float] = {}
    said_first: dict[str, float] = {}
    for seed in range(times):
        found = arranged(**rules, pins={3: 1}, random=np.random.default_rng(seed))
        assert found.propensities is not None
        name = names(found)
        lists[name] += 1
        first[name[0]] += 1
        assert said.setdefault(name, found.propensities.prod()) == found.propensities.prod()
        assert said_first.setdefault(name[0], found.propensities[0]) == found.propensities[0]
        assert name[1] == "d"
        assert sum(one in "ace" for one in name) <= 2
    assert len(lists) > 5
    for counted, propensities in ((lists, said), (first, said_first)):
        assert sum(propensities.values()) == pytest.approx(1)
        for name, propensity in propensities.items():
            error = np.sqrt(propensity * (1 - propensity) / times)
            assert counted[name] / times == pytest.approx(propensity, abs=4.5 * error), name
