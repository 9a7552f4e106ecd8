import numpy as np

from recsys.rules.relevance import boost, relevance_of

ALL = np.ones(3, dtype=np.bool_)


def test_the_best_is_1_the_worst_0_and_between_them_as_far_as_the_score_is():
    assert relevance_of(np.array([-4.0, 6.0, -2.0]), ALL).tolist() == [0.0, 1.0, 0.2]


def test_equal_scores_are_all_relevant():
    assert relevance_of(np.array([7.0, 7.0, 7.0]), ALL).tolist() == [1.0, 1.0, 1.0]
    assert relevance_of(np.empty(0), ALL[:0]).tolist() == []


def test_those_that_are_not_counted_do_not_move_the_others():
    assert relevance_of(np.array([0.0, 1.0, -99.0]), np.array([True, True, False])).tolist() == [0.0, 1.0, 0.0]


def test_a_boost_multiplies_and_then_adds_where_it_holds():
    relevance = np.array([0.5, 0.5, 0.0])
    boost(relevance, np.array([True, False, True]), factor=1.5, add=0.25)
    assert relevance.tolist() == [1.0, 0.5, 0.25]
