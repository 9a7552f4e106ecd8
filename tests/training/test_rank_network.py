import numpy as np
import pytest
import torch

from training import rank_network
from training.list_ndcg import ListNdcg
from training.rank_network import as_far_apart, learn_network, some_lists
from training.ranker_rows import RankerRows

loss_of = rank_network._loss


def crossed(seed: int, *, lists: int = 300, gains: int = 1) -> RankerRows:
    """The two features decide by their product alone: neither says anything by itself. Lists are of 5 to 9 items."""
    random = np.random.default_rng(seed)
    groups = random.integers(5, 10, lists)
    matrix = random.normal(size=(groups.sum(), 2)).astype(np.float32)
    starts = np.cumsum(groups) - groups
    found = np.zeros(len(matrix), dtype=np.int32)
    for start, size in zip(starts, groups, strict=True):
        order = np.argsort(-matrix[start : start + size].prod(axis=1))
        found[start + order[:gains]] = np.arange(gains, 0, -1)
    return RankerRows(matrix, found, groups)


def test_a_network_learns_what_two_features_say_together():
    rows, unseen = crossed(0), crossed(1)
    lists = ListNdcg(unseen.gains, unseen.groups)
    assert lists.mean(learn_network(rows, seed=0).scores(unseen.matrix)) > 0.9
    assert lists.mean(unseen.matrix[:, 0].astype(np.float64)) < 0.7


def test_the_same_seed_gives_the_same_network_and_another_one_another():
    rows = crossed(0, lists=50)
    before = torch.random.get_rng_state()
    one, again, other = (learn_network(rows, seed=seed).scores(rows.matrix) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_of_very_many_lists_only_so_many_steps_are_made(monkeypatch):
    monkeypatch.setattr(rank_network, "MOST_STEPS", 3)
    made = []
    monkeypatch.setattr(rank_network, "_loss", lambda *of: made.append(len(of[2])) or loss_of(*of))
    learn_network(crossed(0, lists=130), seed=0)
    assert made == [64, 64, 2]


def test_the_loss_is_the_cross_entropy_of_each_list_with_gains_as_ndcg_has_them():
    scores = torch.tensor([1.0, 2.0, 0.5, 3.0, -1.0])
    found = loss_of(scores, np.array([0, 2, 1, 0, 1]), np.array([3, 2]))
    first, second = (torch.log_softmax(part, 0) for part in (scores[:3], scores[3:]))
    expected = -((3 * first[1] + first[2]) / 4 + second[1]) / 2
    assert float(found) == pytest.approx(float(expected), abs=1e-6)


def test_very_high_scores_have_a_finite_loss():
    assert float(loss_of(torch.tensor([1e4, 0.0]), np.array([1, 0]), np.array([2]))) == pytest.approx(0, abs=1e-6)


def test_scores_are_made_to_lie_as_far_apart_as_others_whatever_their_level():
    rows = crossed(0)
    network = learn_network(rows, seed=0)
    others = 7 * network.scores(rows.matrix) + 100
    np.testing.assert_allclose(as_far_apart(network, rows, others).scores(rows.matrix) + 100, others, rtol=1e-3)
    # A network that says nothing stays as it is.
    nothing = network.times(0)
    assert (as_far_apart(nothing, rows, others).scores(rows.matrix) == 0).all()


def test_some_lists_are_whole_and_about_as_many_rows_as_asked_for(monkeypatch):
    rows = crossed(0)
    monkeypatch.setattr(rank_network, "ROWS_OF_SCALE", 200)
    some = some_lists(rows, seed=0)
    assert 200 < len(some.gains) < 210
    assert some.groups.sum() == len(some.gains)
    # The first gain of every list is the item with the largest product.
    starts = np.cumsum(some.groups) - some.groups
    for start, size in zip(starts, some.groups, strict=True):
        product = some.matrix[start : start + size].prod(axis=1)
        assert some.gains[start : start + size].argmax() == product.argmax()
    monkeypatch.setattr(rank_network, "ROWS_OF_SCALE", 10**6)
    np.testing.assert_array_equal(some_lists(rows, seed=0).matrix, rows.matrix)


def test_features_are_standardised_by_a_sample_of_many_rows(monkeypatch):
    rows = crossed(0)
    monkeypatch.setattr(rank_network, "ROWS_OF_SCALE", 100)
    whole, sampled = rows.matrix.std(axis=0), learn_network(rows, seed=0).scale.deviation
    assert sampled.shape == (2,)
    assert not np.allclose(sampled, whole)
