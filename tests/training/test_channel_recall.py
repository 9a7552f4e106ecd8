import numpy as np
import pytest

from features.recommender import Recommender
from recsys.retrieval import CandidateSet, Channels
from recsys.retrieval.popular import popular
from tests.training.project import FEATURES, items_state, user_of
from training import channel_recall as module
from training.channel_recall import candidate_recall, channel_recall, recall

USERS_OF = {"users_28d": [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]}


def found(brought: dict[int, str]) -> CandidateSet:
    """Candidates by position, each with the first letters of its channels."""
    rows = np.array([[letter in by for letter in "pf"] for by in brought.values()], dtype=np.bool_)
    return CandidateSet(np.array(list(brought), dtype=np.int64), rows, ("popular", "fresh"))


CANDIDATES = [found({0: "p", 1: "pf", 2: "f"}), found({3: "f", 0: "p"})]
RELEVANT = [frozenset({0, 1, 2, 5}), frozenset({3})]


def test_recall_is_the_mean_over_users_of_the_share_of_what_they_chose():
    # Three of four, and one of one.
    assert recall(CANDIDATES, RELEVANT) == pytest.approx((0.75 + 1) / 2)


def test_a_channel_has_what_it_brought_and_alone_what_no_other_brought():
    assert channel_recall(CANDIDATES, RELEVANT) == {
        "popular": {"recall": pytest.approx((2 / 4 + 0) / 2), "alone": pytest.approx((1 / 4 + 0) / 2)},
        "fresh": {"recall": pytest.approx((2 / 4 + 1) / 2), "alone": pytest.approx((1 / 4 + 1) / 2)},
    }


def measured(limit: int) -> dict:
    """Of one user, who chose the most popular items but one and the least popular one, among the most popular."""
    recommender = Recommender(FEATURES, items_state(6, **USERS_OF), None, limit, Channels({"popular": popular}))
    nothing = np.zeros(6, dtype=np.bool_)
    asked = [(user_of({}), nothing, frozenset({0, 2, 3, 5}))]
    return candidate_recall("all", recommender, asked, [recommender.candidates(*asked[0][:2], None)])


def test_the_recall_is_that_of_as_many_candidates_as_are_configured_and_of_300(monkeypatch):
    monkeypatch.setattr(module, "CANDIDATES_AT", 4)
    by_popular = {"popular": {"recall": 0.25, "alone": 0.25}}
    assert measured(2) == {"candidates": 2, "recall": 0.25, "recall@4": 0.75, "channels": by_popular}
    assert measured(6)["recall@4"] == measured(4)["recall@4"] == measured(4)["recall"] == 0.75


def test_candidates_that_are_those_of_300_are_not_retrieved_again(monkeypatch):
    recommender = Recommender(FEATURES, items_state(6, **USERS_OF), None, module.CANDIDATES_AT)
    asked = [(user_of({}), np.zeros(6, dtype=np.bool_), frozenset({0}))]
    monkeypatch.setattr(Recommender, "candidates", None)
    assert candidate_recall("all", recommender, asked, CANDIDATES[:1])["recall@300"] == 1
