import numpy as np
import pytest

from recsys.rules.diversity import DeterminantalPointProcess, MaximalMarginalRelevance, Worth, worth_of

# Rows 0 and 1 say the same, 2 stands at a right angle to them, 3 between both: cosine 0.6 with 0 and 1, 0.8 with 2.
VECTORS = np.array([[1, 0], [1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
RELEVANCE = np.array([1.0, 0.9, 0.5, 0.7])


def greedy(worth: Worth, places: int) -> list[int]:
    """The rows that are worth most, one after the other."""
    taken: list[int] = []
    for _ in range(places):
        values = np.array(worth.values, dtype=np.float64)
        values[taken] = -np.inf
        taken.append(int(values.argmax()))
        worth.take(taken[-1])
    return taken


def test_mmr_takes_off_what_the_most_similar_item_above_says_already():
    worth = MaximalMarginalRelevance(RELEVANCE, VECTORS, 0.5)
    assert worth.values == pytest.approx([0.5, 0.45, 0.25, 0.35])
    worth.take(0)
    # .45 - .5 × 1, .25 - .5 × 0, .35 - .5 × .6
    assert worth.values[1:] == pytest.approx([-0.05, 0.25, 0.05])
    worth.take(2)
    # Row 3 is nearer to 2 than to 0: .35 - .5 × .8
    assert worth.values[[1, 3]] == pytest.approx([-0.05, -0.05])


def test_mmr_does_not_reward_the_opposite():
    worth = MaximalMarginalRelevance(np.array([1.0, 0.5]), np.array([[1, 0], [-1, 0]], dtype=np.float32), 0.5)
    worth.take(0)
    assert worth.values[1] == pytest.approx(0.25)


def test_dpp_weighs_relevance_against_what_is_left_of_a_vector():
    worth = DeterminantalPointProcess(RELEVANCE, VECTORS, 0.5, places=3)
    assert worth.values == pytest.approx([0.5, 0.45, 0.25, 0.35])
    worth.take(0)
    # Of row 2 all is left, of row 3 a part of .8 by length, of row 1 nothing.
    assert worth.values[2:] == pytest.approx([0.25, 0.35 + 0.5 * np.log(0.64)], abs=1e-6)
    assert worth.values[1] < -5
    worth.take(2)
    # Both rows together say all that row 3 says.
    assert worth.values[3] < -5


def test_dpp_chooses_what_the_greedy_search_over_determinants_chooses():
    random = np.random.default_rng(3)
    vectors = random.standard_normal((9, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    relevance, weight = random.random(9), 0.4
    similar = (vectors @ vectors.T).astype(np.float64)
    chosen: list[int] = []
    for _ in range(5):
        gains = {
            row: (1 - weight) * relevance[row] + weight * np.linalg.slogdet(similar[np.ix_(both, both)])[1]
            for row in range(9)
            if row not in chosen and (both := [*chosen, row])
        }
        chosen.append(max(gains, key=lambda row: gains[row]))
    assert greedy(DeterminantalPointProcess(relevance, vectors, weight, places=5), 5) == chosen


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_twins_do_not_stand_together_and_without_weight_relevance_alone_counts(method):
    assert greedy(worth_of(method, RELEVANCE, VECTORS, weight=0.5, places=4), 4)[:2] == [0, 2]
    assert greedy(worth_of(method, RELEVANCE, VECTORS, weight=0.0, places=4), 4) == [0, 1, 3, 2]


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_an_item_without_text_is_like_no_other(method):
    worth = worth_of(method, np.array([1.0, 1.0, 1.0]), np.zeros((3, 2), dtype=np.float32), weight=0.5, places=3)
    worth.take(0)
    assert worth.values[1:] == pytest.approx([0.5, 0.5])
