from collections import Counter

import numpy as np
import polars as pl
import pytest
import scipy.stats

from recsys.errors import DataError
from recsys.interleaving import Comparison, Interleaved, compare, team_draft
from recsys.simulation import Settings, Simulated, simulate

LETTERS = list("abcdefgh")


def draft(first: str, second: str, request: str = "r", length: int = 10) -> str:
    return "".join(team_draft(list(first), list(second), length=length, request_id=request).items)


def test_whoever_wins_the_coin_begins_and_then_it_is_the_others_turn():
    found = {draft("abc", "xyz", f"{nth}", length=2) for nth in range(50)}
    assert found == {"ax", "xa"}


def test_after_each_round_a_new_coin_is_tossed():
    found = Counter(draft("abc", "xyz", f"{nth}", length=4) for nth in range(4_000))
    assert set(found) == {"axby", "axyb", "xaby", "xayb"}
    assert min(found.values()) > 900


def test_an_item_that_the_other_ranking_put_there_is_not_put_there_again():
    for nth in range(50):
        assert draft("abc", "bac", f"{nth}") in ("abc", "bac")


def test_a_ranking_that_has_ended_leaves_the_rest_to_the_other():
    found = team_draft(["a"], list("wxyz"), length=10, request_id="r")
    assert sorted(found.items) == list("awxyz")
    assert found.of_first == [item == "a" for item in found.items]
    assert team_draft([], [], length=10, request_id="r") == Interleaved([], [])


def test_the_same_request_gives_the_same_list_and_another_experiment_another_coin():
    lists = [team_draft(LETTERS, LETTERS[::-1], length=8, request_id="r-17") for _ in range(3)]
    assert lists[0] == lists[1] == lists[2]
    others = [team_draft(LETTERS, LETTERS[::-1], length=8, request_id="r-17", experiment=f"{at}") for at in range(20)]
    assert len({tuple(other.items) for other in others}) > 5


def test_coins_do_not_run_out():
    long = [f"{at}" for at in range(400)]
    found = team_draft(long, long, length=400, request_id="r")
    assert found.items == long
    assert sum(found.of_first) == 200
    # A hash has 128 coins, one for each two places: those that follow are others.
    assert found.of_first[:100] != found.of_first[256:356]


def test_a_click_is_credited_to_the_ranking_that_put_the_item_there():
    shown = Interleaved(["a", "x", "b"], [True, False, True])
    assert shown.credit({"a", "b", "not shown"}) == (2, 0)
    assert shown.credit({"x"}) == (0, 1)


def test_a_user_counts_once_however_many_requests_there_were():
    # u: 3 to 2, first. v: 0 to 1, second. w: 1 to 1, neither. x clicked nothing.
    rows = [("u", 3, 0), ("u", 0, 2), ("v", 0, 1), ("w", 1, 1), ("x", 0, 0)]
    found = compare(pl.DataFrame(rows, schema=["user_id", "first", "second"], orient="row"))
    assert (found.users, found.prefer_first, found.prefer_second, found.share) == (3, 1, 1, 0.5)
    assert found.p_value == 1.0


def test_six_users_of_six_are_the_fewest_that_cannot_be_chance():
    # 2 / 2⁵ = .0625 and 2 / 2⁶ = .03125
    for users, p_value, significant in ((5, 0.0625, False), (6, 0.03125, True)):
        outcomes = pl.DataFrame({"user_id": [f"{at}" for at in range(users)], "first": 1, "second": 0})
        found = compare(outcomes)
        assert found.p_value == pytest.approx(p_value)
        assert found.significant is significant


def test_without_a_click_nothing_is_known():
    found = compare(pl.DataFrame({"user_id": ["u"], "first": [0], "second": [0]}))
    assert (found.users, found.share, found.low, found.high, found.p_value) == (0, 0.5, 0.0, 1.0, 1.0)


def test_outcomes_that_are_none_are_refused():
    with pytest.raises(DataError, match=r"found the columns \['user_id', 'first'\], expected also \['second'\]"):
        compare(pl.DataFrame({"user_id": ["u"], "first": [1]}))
    with pytest.raises(DataError, match=r"found \{'user_id': 'u', 'first': None, 'second': 1\}"):
        compare(pl.DataFrame({"user_id": ["u"], "first": [None], "second": [1]}, schema_overrides={"first": pl.Int64}))


@pytest.mark.parametrize("users", [6, 25, 100, 400])
def test_equally_good_rankings_are_told_apart_in_one_case_of_twenty_or_fewer(users):
    found = [scipy.stats.binomtest(first, users).pvalue <= 0.05 for first in range(users + 1)]
    assert scipy.stats.binom.pmf(np.flatnonzero(found), users, 0.5).sum() <= 0.05


def simulated(users: int, requests: int) -> Simulated:
    return simulate(Settings(users=users, items=60, impressions=requests, list_length=5))


def experiment(simulated: Simulated, first: np.ndarray, second: np.ndarray, seed: int) -> Comparison:
    """Interleave two orders of what each request showed and let the simulated users click."""
    random, truth = np.random.default_rng(seed), simulated.truth
    drafts = [
        team_draft(one, other, length=5, request_id=f"{request}", experiment=f"{seed}")
        for request, (one, other) in enumerate(
            zip(first.astype(str).tolist(), second.astype(str).tolist(), strict=True)
        )
    ]
    shown = np.array([draft.items for draft in drafts]).astype(np.int64)
    clicked = truth.clicks(truth.attractiveness_of(simulated.shown_to, shown, simulated.at), random)
    of_first = np.array([draft.of_first for draft in drafts])
    outcomes = {"first": (clicked & of_first).sum(axis=1), "second": (clicked & ~of_first).sum(axis=1)}
    return compare(pl.DataFrame({"user_id": simulated.shown_to, **outcomes}))


def ordered(simulated: Simulated, scores: np.ndarray) -> np.ndarray:
    return np.take_along_axis(simulated.shown, np.argsort(-scores, axis=1), axis=1)


def test_the_same_ranking_against_itself_is_found_better_in_one_case_of_twenty_or_fewer():
    log = simulated(users=60, requests=300)
    usual = ordered(log, log.shop.popularity[log.shown])
    found = [experiment(log, usual, usual, seed).significant for seed in range(200)]
    assert sum(found) <= 10


def test_rankings_that_differ_and_are_equally_good_are_not_told_apart_more_often_than_that():
    log = simulated(users=60, requests=300)
    found = []
    for seed in range(100):
        noise = np.random.default_rng((1, seed)).normal(size=(2, *log.shown.shape))
        orders = [ordered(log, np.log(log.attractiveness) + one) for one in noise]
        found.append(experiment(log, *orders, seed).significant)
    assert scipy.stats.binomtest(sum(found), len(found), 0.05, alternative="greater").pvalue > 0.05


def test_a_better_ranking_is_found():
    log = simulated(users=400, requests=3_000)
    usual, ideal = ordered(log, log.shop.popularity[log.shown]), ordered(log, log.attractiveness)
    found = experiment(log, ideal, usual, seed=0)
    assert found.significant
    assert found.low > 0.5
    turned = experiment(log, usual, ideal, seed=1)
    assert turned.significant
    assert turned.high < 0.5
