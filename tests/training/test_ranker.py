import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from features.recommender import Recommender
from recsys.config import Ranker
from tests.training.project import FEATURES, items_state, user_of
from training import ranker
from training.ranker import ChosenTrees, score_all, train_ranker
from training.ranker_rows import RankerRows

RECOMMENDER = Recommender(FEATURES, items_state(10, users_28d=[10, 9, 8, 7, 6, 5, 4, 3, 0, 0]), None, 10)


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
    booster = train_ranker(made_up(0), made_up(1), ("decides", "noise"), CONFIG).trees
    unseen = made_up(2)
    assert rank_of_chosen(booster.predict(unseen.matrix), unseen) < 5
    gains = dict(zip(booster.feature_name(), booster.feature_importance("gain"), strict=True))
    assert gains["decides"] > 2 * gains["noise"]


def test_the_same_rows_give_the_same_trees():
    one, again = (train_ranker(made_up(0), made_up(1), ("decides", "noise"), CONFIG).trees for _ in range(2))
    assert one.model_to_string() == again.model_to_string()


def with_places(rows: RankerRows, *, list_of: int = 30) -> RankerRows:
    places = np.tile(np.arange(1, list_of + 1, dtype=np.int32), len(rows.groups))
    return RankerRows(rows.matrix, rows.gains, rows.groups, places)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_rows_with_places_give_the_same_trees_byte_for_byte(threads, monkeypatch):
    settings = ranker.parameters
    monkeypatch.setattr(ranker, "parameters", lambda *of: settings(*of) | {"num_threads": threads})
    rows = with_places(made_up(0)), with_places(made_up(1))
    one, again = (train_ranker(*rows, ("decides", "noise"), CONFIG).trees.model_to_string() for _ in range(2))
    assert one == again


def test_places_change_the_trees_only_where_they_are_debiased():
    plain = train_ranker(made_up(0), made_up(1), ("decides", "noise"), CONFIG).trees.model_to_string()
    rows = with_places(made_up(0)), with_places(made_up(1))
    off = train_ranker(*rows, ("decides", "noise"), replace(CONFIG, debias_positions=False)).trees.model_to_string()
    assert off == plain
    assert train_ranker(*rows, ("decides", "noise"), CONFIG).trees.model_to_string() != plain


@pytest.mark.parametrize(("direction", "sign"), [("increasing", 1), ("decreasing", -1)])
def test_a_feature_moves_the_score_only_as_it_is_told_to(direction, sign):
    rows = made_up(0)
    # What decides is not the feature itself but how near it is to the middle: left alone, the score rises and falls.
    near = -np.abs(rows.matrix[:, 0] - 0.5).reshape(len(rows.groups), -1)
    rows = RankerRows(rows.matrix, (near == near.max(axis=1, keepdims=True)).astype(np.int32).ravel(), rows.groups)
    grid = np.column_stack([np.linspace(0, 1, 101), np.full(101, 0.5)]).astype(np.float32)
    free = train_ranker(rows, None, ("price", "noise"), CONFIG).trees.predict(grid)
    assert np.diff(free).min() < 0 < np.diff(free).max()
    constrained = replace(CONFIG, monotone={"price": direction})
    told = train_ranker(rows, None, ("price", "noise"), constrained).trees.predict(grid)
    assert (sign * np.diff(told)).min() >= 0
    assert np.ptp(told) > 0


def test_with_a_single_window_as_many_trees_are_learned_as_configured():
    assert train_ranker(made_up(0), None, ("decides", "noise"), CONFIG).trees.num_trees() == 60


def test_with_a_latest_window_that_contradicts_the_trees_stop_at_once():
    latest = made_up(1)
    turned = RankerRows(1 - latest.matrix, latest.gains, latest.groups)
    assert train_ranker(made_up(0), turned, ("decides", "noise"), CONFIG).trees.num_trees() < 10


@pytest.mark.parametrize(("found", "expected"), [(20, 30), (50, 60)])
def test_of_more_rows_more_trees_are_learned_but_no_more_than_configured(found, expected, monkeypatch):
    monkeypatch.setattr(ranker, "probe", lambda *_: ranker.Probe(found, 0.5))
    earlier, latest = made_up(0, users=100), made_up(1, users=50)
    assert train_ranker(earlier, latest, ("decides", "noise"), CONFIG).trees.num_trees() == expected


def test_the_latest_window_is_learned_from_as_well():
    # In the earlier window the feature that decides is the same everywhere.
    earlier, latest = made_up(0), made_up(1)
    earlier.matrix[:, 0] = 0.5
    booster = train_ranker(earlier, latest, ("decides", "noise"), CONFIG).trees
    assert dict(zip(booster.feature_name(), booster.feature_importance("gain"), strict=True))["decides"] > 0


def test_scores_of_several_users_in_one_call_are_those_of_each_alone():
    random = np.random.default_rng(0)
    width = len(FEATURES.behaviour)
    rows = RankerRows(random.random((600, width)).astype(np.float32), made_up(0).gains[:600], np.full(20, 30))
    booster = train_ranker(rows, None, FEATURES.behaviour, CONFIG).trees
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


@pytest.mark.parametrize("parts", [1, 3])
def test_joined_rows_keep_the_order_of_their_parts(parts):
    found = RankerRows.joined([made_up(seed, users=2) for seed in range(parts)])
    assert found.groups.tolist() == [30] * 2 * parts
    np.testing.assert_array_equal(found.matrix[-60:], made_up(parts - 1, users=2).matrix)


def bent(seed: int, *, lists: int) -> RankerRows:
    """What is chosen is the item whose two features together lie nearest to a curve: trees see steps of it."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(lists * 10, 4)).astype(np.float32)
    wanted = (matrix[:, 0] * matrix[:, 1] + np.sin(2 * matrix[:, 2])).reshape(lists, 10)
    gains = (wanted == wanted.max(axis=1, keepdims=True)).astype(np.int32).ravel()
    return RankerRows(matrix, gains, np.full(lists, 10))


BENT = ("one", "other", "wave", "noise")
FEW_TREES = Ranker(trees=20, leaves=4)


@pytest.fixture(scope="module")
def learned():
    return train_ranker(bent(0, lists=1500), bent(1, lists=500), BENT, FEW_TREES)


def test_a_network_serves_beside_the_trees_where_both_order_the_latest_window_better(learned):
    unseen = bent(2, lists=500)
    trees = learned.trees.predict(unseen.matrix)
    both = trees + learned.network.scores(unseen.matrix)
    lists = ranker.ListNdcg(unseen.gains, unseen.groups)
    assert lists.mean(both) > lists.mean(trees) + 0.05


def test_trees_and_network_count_alike(learned):
    rows = bent(3, lists=500)
    trees, network = learned.trees.predict(rows.matrix), learned.network.scores(rows.matrix)
    apart = [scores.reshape(-1, 10).std(axis=1).mean() for scores in (trees, network)]
    assert apart[0] == pytest.approx(apart[1], rel=0.1)


def test_the_same_rows_give_the_same_network(learned, tmp_path):
    again = train_ranker(bent(0, lists=1500), bent(1, lists=500), BENT, FEW_TREES)
    for name, one in (("one.npz", learned), ("again.npz", again)):
        one.network.save(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_a_network_that_orders_the_latest_window_worse_does_not_serve():
    latest = bent(1, lists=500)
    # The trees stop at once; the network goes on, to what is wrong by then.
    turned = RankerRows(-latest.matrix * [[1, -1, 1, 1]], latest.gains, latest.groups)
    assert train_ranker(bent(0, lists=1500), turned, BENT, FEW_TREES).network is None


@pytest.mark.parametrize(
    ("config", "lists"),
    [
        (replace(FEW_TREES, network=False), 1500),
        (replace(FEW_TREES, monotone={"one": "increasing"}), 1500),
        (FEW_TREES, ranker.ENOUGH_LISTS - 1),
    ],
    ids=["switched off", "constrained", "too little to learn from"],
)
def test_no_network_is_tried(config, lists, monkeypatch):
    monkeypatch.setattr(ranker, "learn_network", None)
    assert train_ranker(bent(0, lists=lists), bent(1, lists=100), BENT, config).network is None


def test_no_network_is_tried_where_lists_were_shown(monkeypatch):
    monkeypatch.setattr(ranker, "learn_network", None)
    earlier, latest = bent(0, lists=1500), with_places(bent(1, lists=100), list_of=10)
    assert train_ranker(earlier, latest, BENT, FEW_TREES).network is None


@pytest.mark.parametrize("with_network", [True, False])
def test_where_it_is_known_whether_a_network_serves_no_latest_window_is_asked(with_network, monkeypatch):
    monkeypatch.setattr(ranker, "network_serves", None)
    found = train_ranker(bent(0, lists=1000), None, BENT, FEW_TREES, with_network=with_network)
    assert (found.network is not None) == with_network


def test_a_network_that_served_before_is_not_learned_again_once_lists_are_shown(monkeypatch):
    monkeypatch.setattr(ranker, "learn_network", None)
    rows = with_places(bent(0, lists=1000), list_of=10)
    assert train_ranker(rows, None, BENT, FEW_TREES, with_network=True).network is None


def test_the_choice_of_a_bundle_from_before_there_were_networks_is_without_one():
    assert not ChosenTrees(10, 20, "settings").network
