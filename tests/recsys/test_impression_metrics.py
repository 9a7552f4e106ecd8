from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.config import Evaluation
from recsys.impression_metrics import per_request_metrics, summarise_requests

AT = Evaluation(recall_at=(2,), ndcg_at=(10,), hit_rate_at=(1,), mrr_at=(10,), map_at=())


def of(*rows: tuple[str, float, bool]):
    requests, scores, chosen = zip(*rows, strict=True)
    return per_request_metrics(list(requests), np.array(scores, dtype=np.float64), np.array(chosen), AT)


def test_auc_is_the_share_of_pairs_in_the_right_order():
    # The chosen one above two of three others.
    found = of(("r", 3.0, False), ("r", 2.0, True), ("r", 1.0, False), ("r", 0.0, False))
    assert found.values["auc"].tolist() == [2 / 3]


def test_a_tie_counts_half():
    found = of(("r", 1.0, True), ("r", 1.0, False), ("r", 0.0, False))
    assert found.values["auc"].tolist() == [1.5 / 2]


def test_requests_of_which_everything_or_nothing_was_chosen_are_left_out_and_counted():
    found = of(("all", 1.0, True), ("r", 1.0, True), ("r", 0.0, False), ("none", 5.0, False), ("none", 4.0, False))
    assert found.one_class == 2
    assert found.shown.tolist() == [2]
    assert found.pooled == 1.0


def test_the_rows_of_a_request_need_not_stand_together():
    found = of(("b", 2.0, True), ("a", 1.0, True), ("b", 3.0, False), ("a", 0.0, False))
    assert found.values["auc"].tolist() == [1.0, 0.0]


def test_ranks_are_those_of_the_scores_and_at_the_same_score_what_was_not_chosen_comes_first():
    found = of(("r", 1.0, True), ("r", 1.0, False), ("r", 5.0, False), ("s", 2.0, True), ("s", 1.0, False))
    assert found.values["mrr@10"].tolist() == [1 / 3, 1.0]
    assert found.values["ndcg@10"] == pytest.approx([1 / log2(4), 1.0])
    assert found.values["recall@2"].tolist() == [0.0, 1.0]
    assert found.values["hit_rate@1"].tolist() == [0.0, 1.0]


def test_gauc_weighs_a_request_by_the_items_that_it_shows_and_auc_pools_the_rows():
    found = summarise_requests(
        of(("r", 9.0, True), ("r", 8.0, False), ("s", 1.0, True), ("s", 2.0, False), ("s", 3.0, False), ("s", 0, False))
    )
    assert found["gauc"] == pytest.approx((2 * 1.0 + 4 * 1 / 3) / 6)
    assert found["request_auc"] == pytest.approx((1.0 + 1 / 3) / 2)
    assert found["auc"] == pytest.approx((4 + 1) / 8)  # of 2 chosen × 4 others
    assert found["requests"] == 2
    assert found["gauc_ci"] == pytest.approx([1 / 3, 1.0])


def test_without_a_request_that_says_anything_there_are_counts_alone():
    assert summarise_requests(of(("r", 1.0, True))) == {"requests": 0, "one_class": 1}


def test_a_missing_score_is_refused():
    with pytest.raises(ValueError, match="row 1 has no score"):
        of(("r", 1.0, True), ("r", float("nan"), False))


def test_different_lengths_are_refused():
    with pytest.raises(ValueError, match="1 requests, 2 scores and 1 marks"):
        per_request_metrics(["r"], np.array([1.0, 2.0]), np.array([True]))


rows = st.tuples(st.integers(0, 4), st.integers(0, 5).map(float), st.booleans())


@given(st.lists(rows, min_size=1, max_size=40))
def test_auc_is_what_counting_every_pair_gives(drawn: list[tuple[int, float, bool]]):
    requests, scores, chosen = (np.array(column) for column in zip(*drawn, strict=True))
    found = per_request_metrics(requests, scores, chosen, AT)
    expected = []
    for request in sorted(set(requests.tolist())):
        yes, no = (scores[(requests == request) & (chosen == mark)] for mark in (True, False))
        pairs = [(a > b) + (a == b) / 2 for a in yes for b in no]
        if pairs:
            expected.append(sum(pairs) / len(pairs))
    assert found.values["auc"] == pytest.approx(expected)
    assert found.one_class == len(set(requests.tolist())) - len(expected)
