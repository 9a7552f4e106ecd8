from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.config import Evaluation
from recsys.metrics import METRICS, NO_ITEM, USUAL, cutoffs_of, per_user_metrics, summarise


def test_recall_counts_every_relevant_item_in_the_denominator():
    found = per_user_metrics([np.array([7, 1])], [{7, 90, 91, 92}])
    assert found["recall@10"].tolist() == [0.25]


def test_recall_at_10_divides_by_all_relevant_items_even_when_they_are_more_than_10():
    found = per_user_metrics([np.arange(10)], [set(range(20))])
    assert found["recall@10"].tolist() == [0.5]


def test_recall_at_k_counts_hits_in_the_first_k_ranks_only():
    found = per_user_metrics([np.arange(120)], [{9, 10, 19, 20, 99, 100}])
    assert [found[f"recall@{k}"][0] for k in (10, 20, 100)] == [1 / 6, 3 / 6, 5 / 6]


def test_ndcg_discounts_a_hit_at_rank_r_by_log2_of_r_plus_1():
    # Hits at ranks 1 and 3; the ideal list has its two hits at ranks 1 and 2.
    found = per_user_metrics([np.array([5, 6, 7])], [{5, 7}])
    assert found["ndcg@10"][0] == pytest.approx((1 + 1 / 2) / (1 + 1 / log2(3)))


def test_ndcg_is_1_when_the_top_10_are_10_of_more_relevant_items():
    found = per_user_metrics([np.arange(10)], [set(range(15))])
    assert found["ndcg@10"][0] == pytest.approx(1.0)


def test_no_hit_scores_zero_and_an_empty_list_too():
    found = per_user_metrics([np.array([1, 2]), np.array([], dtype=np.int64)], [{3}, {3}])
    assert all(found[metric].tolist() == [0.0, 0.0] for metric in METRICS)


def test_users_are_kept_apart():
    found = per_user_metrics(np.array([[1, 2], [1, 2]]), [{1, 2}, {2, 3}])
    assert found["recall@10"].tolist() == [1.0, 0.5]


def test_filling_is_never_a_hit():
    found = per_user_metrics(np.array([[4, NO_ITEM], [NO_ITEM, NO_ITEM]]), [{4}, {4}])
    assert found["recall@10"].tolist() == [1.0, 0.0]


def test_a_user_without_relevant_items_is_refused_not_scored_zero():
    with pytest.raises(ValueError, match=r"rows \[1\] have no relevant items"):
        per_user_metrics(np.array([[1], [1]]), [{1}, set()])


def test_an_item_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="row 0 holds item 8 twice"):
        per_user_metrics([np.array([8, 3, 8])], [{8, 9}])


def test_different_numbers_of_users_are_refused():
    with pytest.raises(ValueError, match="top has 2 users and relevant 1"):
        per_user_metrics(np.array([[1], [1]]), [{1}])


def test_mrr_is_1_over_the_rank_of_the_first_hit_and_nothing_below_k():
    found = per_user_metrics([np.arange(20)] * 2, [{3, 5}, {10}])
    assert found["mrr@10"].tolist() == [1 / 4, 0.0]


def test_map_averages_the_precision_at_each_hit_over_all_relevant_items():
    # Hits at ranks 1 and 3, where 1 of 1 and 2 of 3 are hits; two more relevant items are not found.
    found = per_user_metrics([np.array([5, 6, 7])], [{5, 7, 90, 91}])
    assert found["map@10"][0] == pytest.approx((1 + 2 / 3) / 4)


def test_map_divides_by_all_relevant_items_even_when_they_are_more_than_k():
    assert per_user_metrics([np.arange(10)], [set(range(20))])["map@10"].tolist() == [0.5]


def test_the_hit_rate_counts_users_for_whom_anything_is_found_in_the_top_k():
    found = per_user_metrics([np.arange(20)] * 3, [{0, 1, 2}, {9}, {10}])
    assert found["hit_rate@10"].tolist() == [1.0, 1.0, 0.0]


def test_the_configured_k_are_measured_in_rising_order_and_no_others():
    at = Evaluation(recall_at=(3, 1), ndcg_at=(2,), mrr_at=(), map_at=(), hit_rate_at=(1, 1))
    found = per_user_metrics([np.array([8, 9, 7])], [{9, 7}], at)
    assert list(found) == ["recall@1", "recall@3", "ndcg@2", "hit_rate@1"]
    assert [values[0] for values in found.values()] == pytest.approx([0, 1, (1 / log2(3)) / (1 + 1 / log2(3)), 0])


def test_the_usual_cutoffs_are_those_of_a_configuration_that_names_none():
    assert cutoffs_of(Evaluation()) == cutoffs_of(USUAL)


def test_no_list_is_better_than_the_ideal_one_by_a_rounding_error():
    for relevant in range(1, 60):
        found = per_user_metrics([np.arange(60)], [set(range(relevant))], Evaluation(ndcg_at=(7, 33, 60)))
        assert max(values[0] for values in found.values()) <= 1.0


def literal_metrics(ranked: list[int], relevant: set[int]) -> dict[str, float]:
    """The definitions word by word."""
    metrics = {f"recall@{k}": sum(item in relevant for item in ranked[:k]) / len(relevant) for k in (10, 20, 100)}
    ranks = [rank for rank, item in enumerate(ranked[:10], start=1) if item in relevant]
    ideal = sum(1 / log2(rank + 1) for rank in range(1, min(10, len(relevant)) + 1))
    precisions = [number / rank for number, rank in enumerate(ranks, start=1)]
    return metrics | {
        "ndcg@10": sum(1 / log2(rank + 1) for rank in ranks) / ideal,
        "mrr@10": 1 / ranks[0] if ranks else 0,
        "map@10": sum(precisions) / len(relevant),
        "hit_rate@10": 1 if ranks else 0,
    }


positions = st.integers(min_value=0, max_value=150)
users = st.tuples(st.lists(positions, unique=True, max_size=120), st.sets(positions, min_size=1))


@given(st.lists(users, min_size=1, max_size=5))
def test_the_metrics_are_their_definitions_word_by_word(population: list[tuple[list[int], set[int]]]):
    ranked = [np.array(items, dtype=np.int64) for items, _ in population]
    found = per_user_metrics(ranked, [relevant for _, relevant in population])
    assert tuple(found) == METRICS
    for user, (items, relevant) in enumerate(population):
        expected = literal_metrics(items, relevant)
        assert {metric: found[metric][user] for metric in METRICS} == pytest.approx(expected)


def test_a_summary_holds_plain_numbers_with_the_interval_beside_them():
    summary = summarise({"recall@10": np.array([0.0, 1.0, 0.5])})
    assert summary["recall@10"] == 0.5
    low, high = summary["recall@10_ci"]
    assert 0.0 <= low <= 0.5 <= high <= 1.0
    assert all(type(number) is float for number in (summary["recall@10"], low, high))


def test_a_user_without_a_value_does_not_count_and_a_metric_that_nobody_has_is_left_out():
    summary = summarise({"novelty@10": np.array([2.0, np.nan, 4.0]), "diversity@10": np.full(3, np.nan)})
    assert summary["novelty@10"] == 3.0
    assert set(summary) == {"novelty@10", "novelty@10_ci"}
