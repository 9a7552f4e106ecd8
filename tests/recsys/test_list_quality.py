import numpy as np
import pytest

from recsys.list_quality import coverage, diversity, novelty, self_information
from recsys.metrics import NO_ITEM


def test_coverage_is_the_share_of_the_rankable_items_that_anybody_is_shown():
    top = np.array([[0, 1, 2], [1, 3, NO_ITEM]])
    assert coverage(top, k=2, rankable=6) == 3 / 6  # 0, 1 and 3
    assert coverage(top, k=3, rankable=6) == 4 / 6


def test_an_item_that_half_as_many_users_had_carries_one_bit_more():
    # Of 15 users, and one more on both sides: 16 / 16, 16 / 8, 16 / 4, and 16 / 1 for an item that nobody had.
    assert self_information(np.array([15, 7, 3, 0]), of=15).tolist() == [0, 1, 2, 4]


def test_novelty_is_the_mean_information_of_the_first_k_items():
    information = np.array([1.0, 2.0, 6.0])
    assert novelty(np.array([[0, 1, 2], [2, 0, 1]]), information, k=2).tolist() == [1.5, 3.5]


def test_a_short_list_is_as_novel_as_the_items_that_it_has_and_an_empty_one_has_no_novelty():
    found = novelty(np.array([[1, NO_ITEM], [NO_ITEM, NO_ITEM]]), np.array([1.0, 2.0]), k=2)
    assert found[0] == 2.0
    assert np.isnan(found[1])


VECTORS = np.array([[1, 0], [0, 1], [1, 0], [0.6, 0.8], [0, 0]], dtype=np.float32)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([0, 2], 0.0),  # the same text
        ([0, 1], 1.0),  # nothing in common
        ([0, 3], 0.4),  # cosine 0.6
        ([0, 1, 3], 1 - (0.0 + 0.6 + 0.8) / 3),
        ([0, 2, 4], 1 - 1 / 3),  # the last has no text: it is like no other
        ([0, 1, 2, NO_ITEM], 1 - 1 / 3),
    ],
)
def test_diversity_is_1_less_the_mean_cosine_of_all_pairs(items, expected):
    assert diversity(np.array([items]), VECTORS, k=4) == pytest.approx([expected])


def test_a_list_of_one_item_is_neither_diverse_nor_not():
    found = diversity(np.array([[0, NO_ITEM], [NO_ITEM, NO_ITEM], [0, 1]]), VECTORS, k=2)
    assert np.isnan(found).tolist() == [True, True, False]


def test_diversity_does_not_depend_on_how_many_lists_fit_in_memory(monkeypatch):
    top = np.array([[0, 1], [0, 2], [0, 3]])
    whole = diversity(top, VECTORS, k=2)
    monkeypatch.setattr("recsys.list_quality.ROWS_AT_ONCE", 2)
    assert diversity(top, VECTORS, k=2).tolist() == whole.tolist()
