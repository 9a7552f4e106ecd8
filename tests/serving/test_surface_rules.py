from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from recsys.config import Boost, ExcludeBought, Exploration, Pin, Surface
from recsys.errors import ConfigError
from recsys.off_policy import estimate
from recsys.rules.columns import types_of
from recsys.state import Recent, UserState
from serving.rules import Rules
from serving.surface_rules import Shown, SurfaceRules

ITEMS = pl.DataFrame({"item_id": ["a", "b", "c"], "price": [1.0, 2.0, 3.0], "brand": ["x", "y", "y"]})
EMPTY = np.empty(0)
USER = UserState(
    EMPTY,
    np.array([2]),
    np.ones(1),
    np.ones(1),
    np.ones(1),
    np.array(["purchase"]),
    np.zeros(1),
    Recent(np.array([2]), np.array(["purchase"]), np.ones(1)),
)
SCORES = np.array([-1.0, 1.0, 0.0])


def rules(**keys) -> SurfaceRules:
    return SurfaceRules("home", Surface(**keys), ITEMS, types_of(ITEMS))


def hidden(of: SurfaceRules) -> dict[str, list[bool]]:
    return {why: mask.tolist() for why, mask in of.hidden(USER, 2.0).items()}


def shown(of: SurfaceRules, request_id: str = "r", **changes) -> Shown:
    settings = {"vectors": np.empty((3, 0), np.float32), "shown": np.zeros(3), "pins": {}, "limit": 3}
    return of.arrange(np.arange(3), SCORES, request_id=request_id, **(settings | changes))


def names(found: Shown) -> str:
    return "".join("abc"[row] for row in found.rows)


def test_each_key_that_takes_items_out_says_which():
    of = rules(filter="price > 1", exclude=["b", "nowhere"], exclude_bought=ExcludeBought(types=["purchase"]))
    assert hidden(of) == {
        "filter": [True, False, False],
        "exclude": [False, True, False],
        "exclude_bought": [False, False, True],
    }
    assert hidden(rules()) == {}


def test_an_item_that_is_added_later_is_excluded_by_its_id_and_filtered_by_its_columns():
    of = rules(filter="price > 1", exclude=["d"])
    of.follow({3: {"item_id": "d", "price": 2}, 4: {"item_id": "e", "price": 0.5}})
    assert hidden(of) == {"filter": [True, False, False, False, True], "exclude": [False, False, False, True, False]}


def test_boosts_follow_each_other_and_each_is_told():
    of = rules(boosts=[Boost(where="brand == 'y'", factor=0.5), Boost(where="item_id in ['a', 'c']", add=0.5)])
    found = shown(of)
    # Relevance 0, 1 and .5 becomes .5, .5 and .75.
    assert names(found) == "cab"
    assert [found.rules_of(row) for row in range(3)] == [("boost +0.5",), ("boost 0.5",), ("boost 0.5", "boost +0.5")]


def test_a_pin_is_told_behind_a_boost_and_does_not_change_the_relevance_of_the_others():
    of = rules(boosts=[Boost(where="brand == 'x'", factor=2.0, add=-0.25)])
    found = shown(of, pins={0: 0, 7: 1})
    assert names(found) == "abc"
    assert found.rules_of(0) == ("boost 2 -0.25", "pinned")
    # Of the two others b is 1 and c 0; with the pin among them c would be .5.
    of = rules(boosts=[Boost(where="item_id == 'c'", add=0.75)])
    assert names(shown(of, pins={0: 0})) == "abc"


def test_pins_hold_from_their_start_until_their_end():
    may = Pin(item="c", position=3, starts=datetime(2024, 5, 1), ends=datetime(2024, 6, 1, tzinfo=UTC))
    of = rules(pins=[may, Pin(item="b", position=1), Pin(item="nowhere", position=2)])
    index = {"a": 0, "b": 1, "c": 2}
    at = [datetime(2024, *day, tzinfo=UTC).timestamp() for day in ((4, 30), (5, 1), (5, 31), (6, 1))]
    assert [of.pins(index, at=moment) for moment in at] == [{1: 0}, {1: 0, 2: 2}, {1: 0, 2: 2}, {1: 0}]


def test_a_request_id_draws_the_same_again_and_others_draw_others():
    of = rules(exploration=Exploration(method="epsilon", share=1.0))
    drawn = [names(shown(of, f"request {number}")) for number in range(60)]
    assert drawn == [names(shown(of, f"request {number}")) for number in range(60)]
    assert len(set(drawn)) == 6
    assert shown(of).propensities == pytest.approx([1 / 3, 1 / 3, 1 / 3])


def test_thompson_tries_out_what_was_not_shown_yet():
    of = rules(exploration=Exploration(method="thompson", share=1.0, uncertainty=0.5))
    firsts = {}
    for name, times in {"new": 0.0, "known": 1000.0}.items():
        seen = np.array([times, 1000.0, 1000.0])
        firsts[name] = sum(names(shown(of, str(number), shown=seen))[0] == "a" for number in range(300))
    # Its relevance is 1 below that of the best: two standard deviations when it is new, twenty when it is known.
    assert firsts["new"] > 3
    assert firsts["known"] == 0


@pytest.mark.parametrize("method", ["epsilon", "thompson"])
def test_logged_propensities_tell_what_another_order_of_the_pool_would_have_earned(method):
    # Two of three are shown: an item at place k is clicked with its attractiveness / k.
    attractiveness = np.array([0.8, 0.1, 0.3])
    of = rules(exploration=Exploration(method=method, share=0.6, uncertainty=0.5))
    random, rows = np.random.default_rng(5), []
    for number in range(4000):
        found = shown(of, f"request {number}", limit=2)
        assert found.propensities is not None
        for place, (row, propensity) in enumerate(zip(found.rows, found.propensities, strict=True), start=1):
            clicked = float(random.random() < attractiveness[row] / place)
            # The usual order is b, c, a; what is asked is a, b, c.
            rows.append((f"r{number}", place, propensity, clicked, float(row == place - 1)))
    names = ["request_id", "position", "propensity", "reward", "target"]
    estimated = estimate(pl.DataFrame(rows, schema=names, orient="row"))
    truth = 0.8 + 0.1 / 2
    for one in (estimated.ips, estimated.snips):
        assert one.low < truth < one.high
        assert one.high - one.low < 0.4
    assert estimated.logged.high < truth - 0.2
    support = estimated.diagnostics.support
    assert support.low < 1 < support.high


def test_a_condition_that_does_not_fit_the_columns_names_the_surface_the_key_and_the_columns():
    expected = r"\[surfaces.home\] boosts\[1\].where: 'prise > 1', character 1, prise: the items have no column"
    with pytest.raises(ConfigError, match=expected + r".*\['brand', 'category'.*'price'"):
        rules(boosts=[Boost(where="price > 1", factor=2.0), Boost(where="prise > 1", factor=2.0)])


def test_each_surface_has_its_own_rules_and_another_none():
    of = Rules(ITEMS, {"home": Surface(filter="price > 1"), "cart": Surface()})
    of.follow({3: {"item_id": "d", "price": 1}})
    home, cart = of.of("home"), of.of("cart")
    assert home is not None
    assert cart is not None
    assert hidden(home) == {"filter": [True, False, False, True]}
    assert hidden(cart) == {}
    assert of.of("elsewhere") is None
