import numpy as np
import pytest

from recsys.config import Evaluation
from tests.training.cases import case_of
from tests.training.project import catalogue_of, chosen
from training.yardstick import Yardstick, users_of_items

AT = Evaluation(
    recall_at=(1, 2),
    ndcg_at=(2,),
    mrr_at=(2,),
    map_at=(),
    hit_rate_at=(),
    coverage_at=(2,),
    novelty_at=(2,),
    diversity_at=(2,),
)
VECTORS = np.eye(6, dtype=np.float32)
VECTORS[1] = VECTORS[0]


def test_the_lists_are_measured_by_finds_rarity_variety_and_how_much_of_the_catalogue_they_show():
    yardstick = Yardstick(AT, np.arange(6.0), VECTORS)
    cases = [case_of("u", 0, 3), case_of("v", 2)]
    found = yardstick.measure([np.array([0, 1]), np.array([5, 2])], cases)
    assert found.values["recall@1"].tolist() == [0.5, 0.0]
    assert found.values["mrr@2"].tolist() == [1.0, 0.5]
    assert found.values["novelty@2"].tolist() == [0.5, 3.5]
    assert found.values["diversity@2"] == pytest.approx([0.0, 1.0])
    assert found.summary["recall@2"] == 0.75
    assert found.summary["coverage@2"] == 4 / 6
    assert set(found.summary) == {
        *("recall@1", "recall@2", "ndcg@2", "mrr@2", "novelty@2", "diversity@2", "coverage@2"),
        *("recall@1_ci", "recall@2_ci", "ndcg@2_ci", "mrr@2_ci", "novelty@2_ci", "diversity@2_ci"),
    }


def test_coverage_counts_only_items_that_may_be_ranked_for_anybody():
    cases = [case_of("u", 0), case_of("v", 0)]
    for case in cases:
        case.exclude[3:] = True
    cases[0].exclude[2] = True  # which the other may still be shown
    found = Yardstick(AT, np.zeros(6), VECTORS).measure([np.array([0, 1])] * 2, cases)
    assert found.summary["coverage@2"] == 2 / 3


def test_the_curves_end_at_the_deepest_k_and_agree_with_the_metrics():
    yardstick = Yardstick(AT, np.zeros(6), VECTORS)
    assert yardstick.curve_at == [1, 2]
    found = yardstick.measure([np.array([0, 1])], [case_of("u", 1)])
    assert found.curves["recall"] == [0.0, 1.0]
    assert found.curves["ndcg"][1] == found.summary["ndcg@2"]
    assert Yardstick(Evaluation(recall_at=(60,)), np.zeros(6), VECTORS).curve_at == [
        1,
        2,
        3,
        5,
        7,
        10,
        15,
        20,
        30,
        50,
        60,
    ]


def test_users_of_an_item_are_counted_once_each():
    log = chosen(("u", "a", 0), ("u", "a", 1), ("v", "a", 0), ("v", "c", 0), ("v", "gone", 0))
    assert users_of_items(log, catalogue_of("a", "b", "c")).tolist() == [2, 0, 1]
