import numpy as np
import pytest

from features.standing import STANDING_FEATURES
from features.topics import TOPIC_FEATURES, Topics
from recsys.interest import SIGNALS
from recsys.retrieval.from_history import HALF_LIFE_DAYS
from recsys.text_neighbours import EVERYTHING, TextNeighbours
from tests.features.assembled import OfText, assemble
from tests.features.families.cases import CUP, FEATURES, ITEMS, JAM, NEW, NOBODY, TEA, USER, row_of

# Each item is like one other: tea like jam, cup like tea, jam like cup, the new one like jam.
LIKE = TextNeighbours(np.array([[JAM], [TEA], [CUP], [JAM]], dtype=np.int32), np.ones((4, 1), dtype=np.float32))
TOPICS = Topics(LIKE, np.array([[10.0, 1.5, 0.25], [20.0, 2.5, 0.5], [30.0, 3.5, 0.75], [40.0, 4.5, 1.0]]))
BEHAVIOUR = len(FEATURES.behaviour)


def test_what_a_text_model_adds_stands_behind_behaviour():
    signals = np.array([[0.875, 0.9375, 0.0625, 0.5, 3.0, 1.25, -0.75]], dtype=np.float32)
    tea, cup = 0.5 ** (31 / HALF_LIFE_DAYS), 0.5 ** (8 / HALF_LIFE_DAYS)
    (row,) = assemble(FEATURES, USER, ITEMS, np.array([TEA]), OfText(signals, TOPICS))
    np.testing.assert_array_equal(row[:BEHAVIOUR], list(row_of(TEA).values()))
    assert dict(zip(FEATURES.names(SIGNALS)[BEHAVIOUR:], row[BEHAVIOUR:].tolist(), strict=True)) == {
        "text_interest": 0.875,
        "text_nearest": 0.9375,
        "text_last_occasion": 0.0625,
        "text_query": 0.5,
        "text_close": 3,
        "text_interest_z": 1.25,
        "text_popular_z": -0.75,
        "topic_users_28d": 10,
        "topic_trend": 1.5,
        "users_against_topic": 0.25,
        # Jam goes with the history at 1, the four items on the mean at (0.125 + 0.5 + 1 + 0) / 4.
        "topic_cooccurrence": pytest.approx((1 + EVERYTHING * 0.40625) / (1 + EVERYTHING)),
        # Jam was never chosen; of the four items on four occasions, cup eight days and tea 31 days ago.
        "topic_times_chosen": pytest.approx(EVERYTHING * 1 / (1 + EVERYTHING)),
        "topic_share_of_choices": pytest.approx(EVERYTHING * 0.25 / (1 + EVERYTHING)),
        "topic_chosen_28d": pytest.approx(EVERYTHING * 0.25 / (1 + EVERYTHING)),
        "topic_recency": pytest.approx(EVERYTHING * (np.exp(-8 / 30) + np.exp(-31 / 30)) / 4 / (1 + EVERYTHING)),
        "topic_last_occasion": pytest.approx(EVERYTHING * 0.25 / (1 + EVERYTHING)),
        # What is left of tea foretells tea at 5 and jam at 3, what is left of the cup itself at 2 and jam at -1.
        "topic_successors": pytest.approx((3 * tea - cup + EVERYTHING * (8 * tea + cup) / 4) / (1 + EVERYTHING)),
    }


def test_rows_are_the_candidates_in_the_order_given_and_columns_the_features():
    candidates = np.array([NEW, TEA, CUP, TEA])
    signals = np.arange(28, dtype=np.float32).reshape(4, 7) / 16
    matrix = assemble(FEATURES, USER, ITEMS, candidates, OfText(signals, TOPICS))
    assert (matrix.dtype, matrix.shape) == (np.float32, (4, len(FEATURES.names(SIGNALS))))
    topics = len(TOPIC_FEATURES)
    assert matrix[:, BEHAVIOUR:-topics].tolist() == signals.tolist()
    assert matrix[:, -topics].tolist() == [40, 10, 20, 10]
    ranks = [at for at, name in enumerate(FEATURES.behaviour) if name.endswith("_rank") and name != "history_rank"]
    for row, candidate in zip(matrix, candidates.tolist(), strict=True):
        alone = np.array(list(row_of(candidate).values()))
        # Alone every candidate is the first.
        np.testing.assert_array_equal(np.delete(row[:BEHAVIOUR], ranks), np.delete(alone, ranks))


def test_without_a_text_model_the_columns_are_those_of_behaviour():
    matrix = assemble(FEATURES, USER, ITEMS, np.array([TEA, CUP]), None)
    assert matrix.shape == (2, BEHAVIOUR)
    assert FEATURES.names() == FEATURES.behaviour


def test_no_candidates_are_no_rows():
    none = np.array([], dtype=np.int64)
    text = OfText(np.empty((0, len(SIGNALS) + len(STANDING_FEATURES)), dtype=np.float32), TOPICS)
    assert assemble(FEATURES, USER, ITEMS, none, text).shape == (0, len(FEATURES.names(SIGNALS)))
    assert assemble(FEATURES, NOBODY, ITEMS, none, None).shape == (0, BEHAVIOUR)


def test_the_signals_of_a_scorer_and_their_standing_are_between_behaviour_and_topics_however_many_there_are():
    signals = np.arange(5, dtype=np.float32)[None] / 8
    names = FEATURES.names(("text_interest", "text_interest_view", "text_interest_purchase"))
    (row,) = assemble(FEATURES, USER, ITEMS, np.array([TEA]), OfText(signals, TOPICS))
    found = dict(zip(names, row.tolist(), strict=True))
    topics = len(TOPIC_FEATURES)
    assert [found[name] for name in names[BEHAVIOUR:-topics]] == [0, 0.125, 0.25, 0.375, 0.5]
    assert (found["text_interest_purchase"], found["text_interest_z"]) == (0.25, 0.375)
    assert names[-topics:] == TOPIC_FEATURES
    np.testing.assert_array_equal(row[:BEHAVIOUR], list(row_of(TEA).values()))
