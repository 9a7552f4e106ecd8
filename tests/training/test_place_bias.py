import numpy as np
import pytest

from training.place_bias import PlaceBias

LENGTH = 5


def made_up(seed: int, *, lists: int = 4000):
    """Lists in which one item is chosen, by score and by place: a place has half the odds of the one above it."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=(lists, LENGTH))
    odds = np.exp(2 * scores) * 0.5 ** np.arange(LENGTH)
    shares = (odds / odds.sum(axis=1, keepdims=True)).cumsum(axis=1)
    chosen = (random.random((lists, 1)) > shares).sum(axis=1)
    gains = (np.arange(LENGTH) == chosen[:, None]).astype(np.int32).ravel()
    places = np.tile(np.arange(1, LENGTH + 1, dtype=np.int32), lists)
    return scores.ravel(), PlaceBias(places, gains, np.full(lists, LENGTH))


def test_it_finds_how_much_better_a_place_is_than_the_one_below():
    scores, bias = made_up(0)
    for _ in range(20):
        bias.ndcg(scores)
    found = [bias.biases[place] for place in range(1, LENGTH + 1)]
    assert np.diff(found) == pytest.approx([-np.log(2)] * 4, abs=0.12)


def test_true_scores_explain_choices_better_together_with_the_places_than_scores_that_have_learned_the_places():
    scores, bias = made_up(0)
    biased = scores - 0.35 * np.tile(np.arange(LENGTH), 4000) + np.random.default_rng(1).normal(size=len(scores))
    true = [bias.ndcg(scores) for _ in range(10)][-1]
    assert true > [made_up(0)[1].ndcg(biased) for _ in range(10)][-1]


def test_without_places_it_is_ndcg_with_gains_of_two_to_the_gain():
    bias = PlaceBias(np.zeros(5, np.int32), np.array([0, 2, 1, 1, 0], np.int32), np.array([3, 2]))
    # The first list stands as 1, 2, 0: (1 + 3 / log2(3)) / (3 + 1 / log2(3)); in the second the chosen one is first.
    first = (1 + 3 / np.log2(3)) / (3 + 1 / np.log2(3))
    assert bias.ndcg(np.array([0.1, 0.5, 0.9, 0.7, 0.2])) == pytest.approx((first + 1) / 2)
    assert bias.biases == {0: 0.0}


def test_only_the_first_ten_places_count():
    gains = np.zeros(12, np.int32)
    gains[11] = 1
    bias = PlaceBias(np.zeros(12, np.int32), gains, np.array([12]))
    # The scale never turns negative, so the order stays.
    assert bias.ndcg(-np.arange(12.0)) == 0


def test_scores_that_are_all_the_same_do_no_harm():
    _, bias = made_up(0, lists=10)
    assert 0 < bias.ndcg(np.zeros(50)) <= 1
