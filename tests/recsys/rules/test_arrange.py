from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

from recsys.config import Diversity, Exploration
from recsys.rules.arrange import Arrangement, Candidates, arrange
from recsys.state import Positions

# Best first: c, a, e, b, d. Categories: a, c and e are of 0, b of 1, d of none. a and c have the same text.
RELEVANCE = np.array([0.8, 0.4, 1.0, 0.2, 0.6])
CATEGORIES = np.array([0, 1, 0, -1, 0])
VECTORS = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0.6, 0.8]], dtype=np.float32)
CANDIDATES = Candidates(RELEVANCE, CATEGORIES, VECTORS, np.array([0.0, 3.0, 0.0, 8.0, 0.0]))


def arranged(**changes: Any) -> Arrangement:
    settings = {"limit": 5, "pins": {}, "max_per_category": None, "diversity": None, "exploration": None}
    return arrange(CANDIDATES, **{**settings, "random": np.random.default_rng(0), **changes})


def drawn(times: int, **changes: Any) -> Iterator[Arrangement]:
    for seed in range(times):
        yield arranged(**changes, random=np.random.default_rng(seed))


def names(found: Arrangement) -> str:
    return names_of(found.rows)


def names_of(rows: Positions) -> str:
    return "".join("abcde"[row] for row in rows)


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


def test_diversity_knows_what_is_pinned_above():
    # a is pinned first, so its twin c, which is best, is worth .5 - .5, and e .3 - 0.
    assert names(arranged(diversity=Diversity(method="mmr", weight=0.5), pins={0: 0}))[:2] == "ae"


def test_without_a_maximum_nobody_is_kept_out_and_with_one_only_when_it_stands_in_the_list():
    assert arranged(limit=1).full.tolist() == []
    assert arranged(limit=2, max_per_category=3).full.tolist() == []
    # d has no category, and its like are not counted.
    assert sorted(arranged(limit=5, max_per_category=2, pins={3: 0}).full) == [4]


def test_items_change_places_within_the_first_positions_but_for_pins():
    exploration = Exploration(method="epsilon", share=1.0, positions=4)
    lists = {names(found): found for found in drawn(500, exploration=exploration, pins={3: 1})}
    # Usually c d a e b.
    assert set(lists) == {"cdaeb", "cdeab", "adceb", "adecb", "edcab", "edacb"}
    for name, found in lists.items():
        assert found.propensities is not None
        assert found.propensities.tolist() == pytest.approx([1 / 3, 1, 1 / 3, 1 / 3, 1])
        moved = {item for item, usual in zip(name, "cdaeb", strict=True) if item != usual}
        assert reasons(found) == {"d": "pinned"} | dict.fromkeys(moved, "explored")


def test_more_positions_than_are_shown_bring_others_into_the_list_that_break_no_rule():
    exploration = Exploration(method="epsilon", share=0.5, positions=4)
    rules = {"limit": 2, "max_per_category": 2, "pins": {1: 3}}
    lists = {names(found): found for found in drawn(500, exploration=exploration, **rules)}
    # Usually c a, and behind them b and d, as the category of e is full; the pin is behind the last place.
    assert set(lists) == {one + other for one in "cabd" for other in "cabd" if one != other}
    for name, found in lists.items():
        assert found.propensities is not None
        usual = np.array([item == at for item, at in zip(name, "ca", strict=True)])
        assert found.propensities == pytest.approx(np.where(usual, 0.625, 0.125))
        assert sorted(names_of(found.full)) == ([*"e"] if set(name) == set("ca") else [])
        assert set(reasons(found)) == {item for item, is_usual in zip(name, usual, strict=True) if not is_usual}


def test_a_list_that_is_not_explored_is_the_usual_one():
    rules = {"limit": 3, "max_per_category": 2, "diversity": Diversity(method="mmr", weight=0.9), "pins": {4: 2, 3: 4}}
    usual = arranged(**rules)
    found = arranged(**rules, exploration=Exploration(method="thompson", share=0.0, positions=5))
    assert (names(found), found.why, found.full.tolist()) == (names(usual), usual.why, usual.full.tolist())
    assert found.propensities is not None
    assert found.propensities.tolist() == [1, 1, 1]


def test_what_was_moved_and_then_explored_is_told_as_explored():
    rules = {"diversity": Diversity(method="mmr", weight=0.5), "limit": 2}
    found = next(
        one
        for one in drawn(100, exploration=Exploration(method="epsilon", share=1.0, positions=2), **rules)
        if names(one) == "ec"
    )
    assert reasons(found) == {"e": "explored", "c": "explored"}


@pytest.mark.parametrize("diversity", [None, Diversity(method="mmr", weight=0.5)])
def test_thompson_goes_by_what_is_known_of_the_relevance_of_each_whatever_diversity_made_of_it(diversity):
    two = Candidates(np.array([1.0, 0.0]), np.array([-1, -1]), VECTORS[:2], np.array([0.0, 3.0]))
    rules = {"limit": 1, "pins": {}, "max_per_category": None, "diversity": diversity}
    exploration = Exploration(method="thompson", share=0.5, uncertainty=0.8)
    found = arrange(two, **rules, exploration=exploration, random=np.random.default_rng(0))
    assert found.propensities is not None
    # 1 ± .8 and 0 ± .4: the difference is 1 ± √.8.
    sure = 0.5 + 0.5 * ndtr(1 / np.sqrt(0.8))
    assert found.propensities.tolist() == pytest.approx([sure if found.rows[0] == 0 else 1 - sure])


@pytest.mark.parametrize("method", ["epsilon", "thompson"])
@pytest.mark.parametrize("limit", [3, 5])
def test_every_item_stands_at_every_place_as_often_as_its_propensity_says(method, limit):
    """Beside a pin, a maximum per category and diversity."""
    exploration = Exploration(method=method, share=0.7, positions=4, uncertainty=0.5)
    rules = {"exploration": exploration, "max_per_category": 2, "diversity": Diversity(method="mmr"), "limit": limit}
    times = 3000
    counted: Counter[tuple[int, str]] = Counter()
    said: dict[tuple[int, str], float] = {}
    for found in drawn(times, **rules, pins={3: 1}):
        assert found.propensities is not None
        for place, (item, propensity) in enumerate(zip(names(found), found.propensities, strict=True)):
            counted[place, item] += 1
            assert said.setdefault((place, item), propensity) == pytest.approx(propensity, abs=1e-12)
        assert sum(item in "ace" for item in names(found)) <= 2
    places = sorted({place for place, _ in said})
    assert places == list(range(min(limit, 4)))
    for place in places:
        at_place = {item: propensity for (at, item), propensity in said.items() if at == place}
        assert len(at_place) == (1 if place == 1 else 3)
        assert sum(at_place.values()) == pytest.approx(1, abs=1e-8)
    for at, propensity in said.items():
        error = np.sqrt(propensity * (1 - propensity) / times)
        assert counted[at] / times == pytest.approx(propensity, abs=4.5 * error + 1e-12), at
