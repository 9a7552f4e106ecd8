from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from features.assembler import BEHAVIOUR_FEATURES, ITEM_COUNTS, OfText, assemble, feature_names
from features.rows import ITEM_COLUMNS, USER_COLUMNS
from features.standing import STANDING_FEATURES
from features.topics import TOPIC_FEATURES, Topics
from recsys.interest import SIGNALS
from recsys.state import ItemState, UserState
from recsys.text_neighbours import EVERYTHING, TextNeighbours
from tests.features.log import seconds

FEATURES = feature_names(SIGNALS)
TEA, CUP, JAM, NEW = range(4)
TEA_BEHAVIOUR = {
    "users_7d": 3,
    "users_28d": 12,
    "users_90d": 21,
    "users": 40,
    "occasions_28d": 15,
    "weight_28d": 13.5,
    "returned": 10,
    "value_sum": 300,
    "value_count": 50,
    "first_at": seconds(11),
    "last_at": seconds(98),
}
USER_BEHAVIOUR = {
    "occasions_28d": 2,
    "occasions_90d": 4,
    "occasions": 5,
    "distinct_items": 9,
    "pairs": 12,
    "value_sum": 60,
    "value_count": 15,
    "first_at": seconds(4),
    "last_at": seconds(92),
}
ITEMS = ItemState(
    now=seconds(100),
    columns=ITEM_COLUMNS,
    # Of the other items nothing is known.
    behaviour=np.array([list(TEA_BEHAVIOUR.values()), *np.full((3, len(ITEM_COLUMNS)), np.nan)]),
    neighbours=sp.csr_array(
        np.array([[0, 0.5, 0.75, 0], [0.125, 0, 0.25, 0], [1, 2, 0, 0], [0, 0, 0, 0]], dtype=np.float32)
    ),
)
# Cup on the latest occasion, on day 92; tea on three occasions, from day 29 to day 69.
USER = UserState(
    behaviour=np.array(list(USER_BEHAVIOUR.values())),
    history=np.array([CUP, TEA]),
    occasions=np.array([1.0, 3.0]),
    first_at=np.array([seconds(92), seconds(29)]),
    last_at=np.array([seconds(92), seconds(69)]),
    types=np.array(["view", "purchase"]),
)
# Each item is like one other: tea like jam, cup like tea, jam like cup, the new one like jam.
LIKE = TextNeighbours(np.array([[JAM], [TEA], [CUP], [JAM]], dtype=np.int32), np.ones((4, 1), dtype=np.float32))
TOPICS = Topics(LIKE, np.array([[10.0, 1.5, 0.25], [20.0, 2.5, 0.5], [30.0, 3.5, 0.75], [40.0, 4.5, 1.0]]))
NOTHING = np.array([])
NOBODY = UserState(
    np.full(len(USER_COLUMNS), np.nan),
    NOTHING.astype(np.int64),
    NOTHING,
    NOTHING,
    NOTHING,
    NOTHING.astype(np.str_),
)


def user_with(**behaviour: float) -> UserState:
    return replace(USER, behaviour=np.array(list((USER_BEHAVIOUR | behaviour).values())))


def row_of(candidate: int, *, user: UserState = USER, items: ItemState = ITEMS) -> dict[str, float]:
    """The features of one candidate by name."""
    (row,) = assemble(user, items, np.array([candidate]), None)
    return dict(zip(BEHAVIOUR_FEATURES, row.tolist(), strict=True))


def test_every_column_of_an_item_that_the_user_chose_thrice():
    signals = np.array([[0.875, 0.9375, 0.0625, 0.5, 3.0, 1.25, -0.75]], dtype=np.float32)
    (row,) = assemble(USER, ITEMS, np.array([TEA]), OfText(signals, TOPICS))
    assert dict(zip(FEATURES, row.tolist(), strict=True)) == {
        "item_users_7d": 3,
        "item_users_28d": 12,
        "item_users_90d": 21,
        "item_users": 40,
        "item_occasions_28d": 15,
        "item_weight_28d": 13.5,
        "item_repeat_share": 0.25,  # 10 of 40
        "item_value_mean": 6,  # 300 / 50
        "user_occasions_28d": 2,
        "user_occasions_90d": 4,
        "user_occasions": 5,
        "user_distinct_items": 9,
        "user_items_per_occasion": pytest.approx(2.4),  # 12 pairs on 5 occasions
        "user_repeat_share": 0.25,  # 3 of 12 pairs are of one of the 9 items once more
        "user_gap_days": 22,  # 88 days with 4 gaps
        "user_value_mean": 4,  # 60 / 15
        "item_age_days": 89,
        "item_idle_days": 2,
        "user_age_days": 96,
        "user_idle_days": 8,
        "item_trend": 1.0,  # (3 + 1) / (12 / 4 + 1)
        "value_fit": 1.5,  # 6 / 4
        "times_chosen": 3,
        "share_of_occasions": pytest.approx(0.6),  # 3 / 5
        "days_since_chosen": 31,
        "own_gap_days": 20,  # 40 days with 2 gaps
        "gap_fit": pytest.approx(1.55),  # 31 / 20
        "in_last_occasion": 0,
        "history_rank": 1,
        "cooccurrence_sum": 0.125,  # with cup; an item is not its own neighbour
        "cooccurrence_max": 0.125,
        "cooccurrence_last_occasion": 0.125,
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
    }


def test_an_item_chosen_once_has_no_gap_of_its_own():
    found = row_of(CUP)
    assert (found["times_chosen"], found["days_since_chosen"]) == (1, 8)
    assert (found["in_last_occasion"], found["history_rank"]) == (1, 0)
    assert np.isnan([found["own_gap_days"], found["gap_fit"]]).all()


def test_an_item_never_chosen_was_chosen_0_times_and_its_times_are_not_known():
    found = row_of(JAM)
    assert (found["times_chosen"], found["share_of_occasions"], found["in_last_occasion"]) == (0, 0, 0)
    assert np.isnan([found[name] for name in ("days_since_chosen", "own_gap_days", "gap_fit", "history_rank")]).all()


def test_cooccurrence_is_summed_over_the_history_and_over_its_latest_occasion():
    found = row_of(JAM)
    assert found["cooccurrence_sum"] == 1.0  # tea 0.75, cup 0.25
    assert found["cooccurrence_max"] == 0.75
    assert found["cooccurrence_last_occasion"] == 0.25  # cup


def test_an_item_that_nobody_chose_has_no_behaviour_and_no_neighbours():
    found = row_of(NEW)
    of_item = [name for name in BEHAVIOUR_FEATURES if name.startswith("item_")]
    assert np.isnan([found[name] for name in (*of_item, "value_fit")]).all()
    assert [found[f"cooccurrence_{which}"] for which in ("sum", "max", "last_occasion")] == [0, 0, 0]
    assert found["user_occasions"] == 5


def test_of_a_user_never_seen_only_the_items_are_known():
    found = row_of(TEA, user=NOBODY)
    known = {name: value for name, value in found.items() if not np.isnan(value)}
    assert known == {
        **{f"item_{name}": TEA_BEHAVIOUR[name] for name in ITEM_COUNTS},
        "item_repeat_share": 0.25,
        "item_value_mean": 6,
        "item_age_days": 89,
        "item_idle_days": 2,
        "item_trend": 1.0,
        "times_chosen": 0,
        "in_last_occasion": 0,
        "cooccurrence_sum": 0,
        "cooccurrence_max": 0,
        "cooccurrence_last_occasion": 0,
    }


def test_a_user_whose_history_was_taken_away_keeps_the_behaviour():
    everything = np.ones(len(ITEMS), dtype=np.bool_)
    found = row_of(TEA, user=USER.without(everything))
    assert (found["user_occasions"], found["times_chosen"], found["share_of_occasions"]) == (5, 0, 0)
    assert found["cooccurrence_sum"] == 0


def test_a_user_who_only_interacts_without_value_is_no_reason_to_warn():
    found = row_of(TEA, user=user_with(value_sum=0))
    assert found["value_fit"] == np.inf


def test_without_a_value_there_is_no_mean_and_without_a_second_occasion_no_gap():
    found = row_of(TEA, user=user_with(value_sum=0, value_count=0, occasions=1, first_at=seconds(92)))
    assert np.isnan([found[name] for name in ("user_value_mean", "value_fit", "user_gap_days")]).all()


def test_rows_are_the_candidates_in_the_order_given_and_columns_the_features():
    candidates = np.array([NEW, TEA, CUP, TEA])
    signals = np.arange(28, dtype=np.float32).reshape(4, 7) / 16
    matrix = assemble(USER, ITEMS, candidates, OfText(signals, TOPICS))
    assert (matrix.dtype, matrix.shape) == (np.float32, (4, len(FEATURES)))
    behaviour, topics = len(BEHAVIOUR_FEATURES), len(TOPIC_FEATURES)
    assert matrix[:, behaviour:-topics].tolist() == signals.tolist()
    assert matrix[:, -topics].tolist() == [40, 10, 20, 10]
    for row, candidate in zip(matrix, candidates.tolist(), strict=True):
        np.testing.assert_array_equal(row[:behaviour], list(row_of(candidate).values()))


def test_without_a_text_model_the_columns_are_those_of_behaviour():
    matrix = assemble(USER, ITEMS, np.array([TEA, CUP]), None)
    assert matrix.shape == (2, len(BEHAVIOUR_FEATURES))
    assert feature_names() == BEHAVIOUR_FEATURES


def test_no_candidates_are_no_rows():
    none = np.array([], dtype=np.int64)
    text = OfText(np.empty((0, len(SIGNALS) + len(STANDING_FEATURES)), dtype=np.float32), TOPICS)
    assert assemble(USER, ITEMS, none, text).shape == (0, len(FEATURES))
    assert assemble(NOBODY, ITEMS, none, None).shape == (0, len(BEHAVIOUR_FEATURES))


def test_the_signals_of_a_scorer_and_their_standing_are_between_behaviour_and_topics_however_many_there_are():
    signals = np.arange(5, dtype=np.float32)[None] / 8
    names = feature_names(("text_interest", "text_interest_view", "text_interest_purchase"))
    (row,) = assemble(USER, ITEMS, np.array([TEA]), OfText(signals, TOPICS))
    found = dict(zip(names, row.tolist(), strict=True))
    behaviour, topics = len(BEHAVIOUR_FEATURES), len(TOPIC_FEATURES)
    assert [found[name] for name in names[behaviour:-topics]] == [0, 0.125, 0.25, 0.375, 0.5]
    assert (found["text_interest_purchase"], found["text_interest_z"]) == (0.25, 0.375)
    assert names[-topics:] == TOPIC_FEATURES
    np.testing.assert_array_equal(row[:behaviour], list(row_of(TEA).values()))
