from collections.abc import Mapping

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from features.recommender import Recommender
from recsys.config import Ranker
from tests.training.project import FEATURES, at, items_state, user_of
from training import ranker
from training.ranker import RankerRows, gains_of, ranker_rows, score_all, train_ranker
from training.windows import Window

POPULARITY = [10, 9, 8, 7, 6, 5, 4, 3, 0, 0]
ITEMS = items_state(10, users_28d=POPULARITY)
RECOMMENDER = Recommender(FEATURES, ITEMS, None, 10)
TIMES_CHOSEN = FEATURES.behaviour.index("times_chosen")
USERS_28D = FEATURES.behaviour.index("item_users_28d")
VIEW, PURCHASE = 0.2, 1.0


def rows_of(window: Window, *, seed: int) -> RankerRows | None:
    return ranker_rows(RECOMMENDER, window, gain_of=gains_of([VIEW, PURCHASE]), seed=seed)


def window_of(*labels: Mapping[int, float], history: Mapping[int, float] | None = None) -> Window:
    """A window with a user for each of the labels, all with one history."""
    users = [f"user-{number}" for number in range(len(labels))]
    state = user_of({0: 3.0, 1: 1.0} if history is None else history)
    return Window(at(0), ITEMS, users, [state] * len(users), [dict(own) for own in labels])


def groups_of(rows: RankerRows) -> list[tuple[NDArray[np.float32], list[int]]]:
    ends = np.cumsum(rows.groups)
    return [
        (rows.matrix[end - size : end], rows.gains[end - size : end].tolist())
        for size, end in zip(rows.groups, ends, strict=True)
    ]


def test_a_user_gives_a_group_of_all_candidates_and_one_of_those_that_are_new():
    rows = rows_of(window_of({0: PURCHASE, 3: PURCHASE}), seed=0)
    assert rows is not None
    (everything, gains), (new, new_gains) = groups_of(rows)
    # The eight items that anybody took lately; two of them are no news to the user.
    assert sorted(everything[:, USERS_28D]) == [3, 4, 5, 6, 7, 8, 9, 10]
    assert sorted(new[:, USERS_28D]) == [3, 4, 5, 6, 7, 8]
    assert sorted(everything[:, TIMES_CHOSEN]) == [0] * 6 + [1, 3]
    assert dict(zip(everything[:, USERS_28D], gains, strict=True)) == {
        10: 2, 7: 2, 9: 0, 8: 0, 6: 0, 5: 0, 4: 0, 3: 0
    }  # fmt: skip
    assert dict(zip(new[:, USERS_28D], new_gains, strict=True)) == {7: 2, 8: 0, 6: 0, 5: 0, 4: 0, 3: 0}


def test_gains_are_in_the_order_of_the_weights_of_the_interactions():
    rows = rows_of(window_of({2: VIEW, 3: PURCHASE}), seed=0)
    assert rows is not None
    everything, gains = groups_of(rows)[0]
    found = dict(zip(everything[:, USERS_28D], gains, strict=True))
    assert (found[8], found[7]) == (1, 2)


def test_what_was_chosen_but_not_retrieved_is_no_row():
    rows = rows_of(window_of({3: PURCHASE, 9: PURCHASE}), seed=0)
    assert rows is not None
    assert rows.gains.sum() == 4  # item 3, in both groups


def test_a_group_in_which_nothing_or_everything_was_chosen_is_left_out():
    # Only what the user had was chosen: there is nothing to order in the group of new items.
    rows = rows_of(window_of({0: PURCHASE}), seed=0)
    assert rows is not None
    assert rows.groups.tolist() == [8]
    everything = dict.fromkeys(range(10), PURCHASE)
    assert rows_of(window_of(everything, history={}), seed=0) is None
    assert rows_of(window_of({9: PURCHASE}), seed=0) is None
    assert rows_of(window_of(), seed=0) is None


def test_at_most_so_many_candidates_without_a_label_are_kept_and_every_one_with_a_label(monkeypatch):
    monkeypatch.setattr(ranker, "NEGATIVES", 3)
    rows = rows_of(window_of({3: PURCHASE, 4: VIEW}, {2: PURCHASE}), seed=0)
    assert rows is not None
    assert [sorted(gains) for _, gains in groups_of(rows)] == [[0, 0, 0, 1, 2]] * 2 + [[0, 0, 0, 2]] * 2
    assert rows.matrix.shape == (18, len(FEATURES.behaviour))


def test_the_same_seed_draws_the_same_rows_and_another_one_others(monkeypatch):
    monkeypatch.setattr(ranker, "NEGATIVES", 3)
    window = window_of(*[{3: PURCHASE}] * 5)
    one, again, other = (rows_of(window, seed=seed) for seed in (1, 1, 2))
    assert one is not None
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(one.matrix, again.matrix)
    assert not np.array_equal(one.matrix, other.matrix, equal_nan=True)


def made_up(seed: int, *, users: int = 60, candidates: int = 30) -> RankerRows:
    """Groups in which the item with the highest first feature is mostly the one chosen; the second feature is noise."""
    random = np.random.default_rng(seed)
    matrix = random.random((users * candidates, 2)).astype(np.float32)
    wanted = (matrix[:, 0] + 0.1 * random.normal(size=len(matrix))).reshape(users, candidates)
    gains = (wanted == wanted.max(axis=1, keepdims=True)).astype(np.int32).ravel()
    return RankerRows(matrix, gains, np.full(users, candidates))


def rank_of_chosen(scores: NDArray[np.float64], rows: RankerRows) -> float:
    """The mean place of the item that was chosen, 0 = first; 14.5 by chance among 30."""
    in_groups = scores.reshape(len(rows.groups), -1)
    chosen = in_groups[rows.gains.reshape(in_groups.shape) == 1]
    return float((in_groups > chosen[:, None]).sum(axis=1).mean())


CONFIG = Ranker(trees=60, leaves=7, learning_rate=0.1)


def test_the_ranker_finds_what_decides():
    booster = train_ranker(made_up(0), made_up(1), ("decides", "noise"), CONFIG)
    unseen = made_up(2)
    assert rank_of_chosen(booster.predict(unseen.matrix), unseen) < 5
    gains = dict(zip(booster.feature_name(), booster.feature_importance("gain"), strict=True))
    assert gains["decides"] > 2 * gains["noise"]


def test_the_same_rows_give_the_same_trees():
    one, again = (train_ranker(made_up(0), made_up(1), ("decides", "noise"), CONFIG) for _ in range(2))
    assert one.model_to_string() == again.model_to_string()


def with_places(rows: RankerRows, *, list_of: int = 30) -> RankerRows:
    places = np.tile(np.arange(1, list_of + 1, dtype=np.int32), len(rows.groups))
    return RankerRows(rows.matrix, rows.gains, rows.groups, places)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_rows_with_places_give_the_same_trees_byte_for_byte(threads, monkeypatch):
    settings = ranker.parameters
    monkeypatch.setattr(ranker, "parameters", lambda *of: settings(*of) | {"num_threads": threads})
    rows = with_places(made_up(0)), with_places(made_up(1))
    one, again = (train_ranker(*rows, ("decides", "noise"), CONFIG).model_to_string() for _ in range(2))
    assert one == again


def test_places_change_the_trees_only_where_they_are_debiased():
    plain = train_ranker(made_up(0), made_up(1), ("decides", "noise"), CONFIG).model_to_string()
    rows = with_places(made_up(0)), with_places(made_up(1))
    off = train_ranker(*rows, ("decides", "noise"), replace(CONFIG, debias_positions=False)).model_to_string()
    assert off == plain
    assert train_ranker(*rows, ("decides", "noise"), CONFIG).model_to_string() != plain


@pytest.mark.parametrize(("direction", "sign"), [("increasing", 1), ("decreasing", -1)])
def test_a_feature_moves_the_score_only_as_it_is_told_to(direction, sign):
    rows = made_up(0)
    # What decides is not the feature itself but how near it is to the middle: left alone, the score rises and falls.
    near = -np.abs(rows.matrix[:, 0] - 0.5).reshape(len(rows.groups), -1)
    rows = RankerRows(rows.matrix, (near == near.max(axis=1, keepdims=True)).astype(np.int32).ravel(), rows.groups)
    grid = np.column_stack([np.linspace(0, 1, 101), np.full(101, 0.5)]).astype(np.float32)
    free = train_ranker(rows, None, ("price", "noise"), CONFIG).predict(grid)
    assert np.diff(free).min() < 0 < np.diff(free).max()
    told = train_ranker(rows, None, ("price", "noise"), replace(CONFIG, monotone={"price": direction})).predict(grid)
    assert (sign * np.diff(told)).min() >= 0
    assert np.ptp(told) > 0


def test_with_a_single_window_as_many_trees_are_learned_as_configured():
    assert train_ranker(made_up(0), None, ("decides", "noise"), CONFIG).num_trees() == 60


def test_with_a_latest_window_that_contradicts_the_trees_stop_at_once():
    latest = made_up(1)
    turned = RankerRows(1 - latest.matrix, latest.gains, latest.groups)
    assert train_ranker(made_up(0), turned, ("decides", "noise"), CONFIG).num_trees() < 10


@pytest.mark.parametrize(("found", "expected"), [(20, 30), (50, 60)])
def test_of_more_rows_more_trees_are_learned_but_no_more_than_configured(found, expected, monkeypatch):
    monkeypatch.setattr(ranker, "probe", lambda *_: ranker.Probe(found, 0.5))
    earlier, latest = made_up(0, users=100), made_up(1, users=50)
    assert train_ranker(earlier, latest, ("decides", "noise"), CONFIG).num_trees() == expected


def test_the_latest_window_is_learned_from_as_well():
    # In the earlier window the feature that decides is the same everywhere.
    earlier, latest = made_up(0), made_up(1)
    earlier.matrix[:, 0] = 0.5
    booster = train_ranker(earlier, latest, ("decides", "noise"), CONFIG)
    assert dict(zip(booster.feature_name(), booster.feature_importance("gain"), strict=True))["decides"] > 0


def test_scores_of_several_users_in_one_call_are_those_of_each_alone():
    random = np.random.default_rng(0)
    width = len(FEATURES.behaviour)
    rows = RankerRows(random.random((600, width)).astype(np.float32), made_up(0).gains[:600], np.full(20, 30))
    booster = train_ranker(rows, None, FEATURES.behaviour, CONFIG)
    # The second has nothing left to recommend.
    histories, nothing = ({0: 1.0}, {1: 2.0}, {5: 1.0, 0: 1.0}), RECOMMENDER.nothing()
    excluded = (nothing, ~nothing, nothing)
    prepared = [
        RECOMMENDER.prepare(user_of(history), exclude, None)
        for history, exclude in zip(histories, excluded, strict=True)
    ]
    together = score_all(booster, prepared)
    assert [len(scores) for scores in together] == [8, 0, 8]
    for one, scores in zip(prepared, together, strict=True):
        np.testing.assert_array_equal(scores, booster.predict(one.matrix))


def test_joined_rows_have_place_0_where_nothing_was_shown():
    retrieved, shown = made_up(0, users=1), with_places(made_up(1, users=1))
    found = RankerRows.joined([retrieved, shown])
    assert found.places is not None
    assert found.places.tolist() == [0] * 30 + list(range(1, 31))
    assert RankerRows.joined([retrieved, retrieved]).places is None


def test_gains_are_the_ranks_of_the_weights():
    assert gains_of([1.0, 0.2, 1.0, 5.0]) == {0.2: 1, 1.0: 2, 5.0: 3}


@pytest.mark.parametrize("parts", [1, 3])
def test_joined_rows_keep_the_order_of_their_parts(parts):
    found = RankerRows.joined([made_up(seed, users=2) for seed in range(parts)])
    assert found.groups.tolist() == [30] * 2 * parts
    np.testing.assert_array_equal(found.matrix[-60:], made_up(parts - 1, users=2).matrix)
