from dataclasses import replace

import numpy as np
import pytest

from features.topics import PRIOR_USERS, TOPIC_FEATURES, Topics, topic_columns, users_of
from recsys.text_neighbours import EVERYTHING, TextNeighbours
from tests.training.project import items_state, user_of

# Of four items: the first is like the second and the third, the latter half as much; the others like the first alone.
LIKE = TextNeighbours(
    np.array([[1, 2], [0, 3], [0, 3], [0, 1]], dtype=np.int32),
    np.array([[1.0, 0.5], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], dtype=np.float32),
)
ITEMS = items_state(4, users_28d=[4, 12, np.nan, 0], users_7d=[1, 6, 0, np.nan])
USER = replace(user_of({1: 2, 2: 5}), last_at=ITEMS.now - 86_400 * np.array([27.0, 29.0]))
MONTH = [(12 + EVERYTHING * 4) / (1.5 + EVERYTHING), (4 + EVERYTHING * 4) / (1 + EVERYTHING)]
WEEK = [(6 + EVERYTHING * 1.75) / (1.5 + EVERYTHING), (1 + EVERYTHING * 1.75) / (1 + EVERYTHING)]


def test_the_columns_are_the_users_of_like_items_their_trend_and_the_own_users_against_them():
    columns = topic_columns(LIKE, users_of(ITEMS))
    assert columns.shape == (4, TOPIC_FEATURES.index("topic_cooccurrence"))
    assert columns[:, 0].tolist() == pytest.approx([MONTH[0]] + [MONTH[1]] * 3)
    trend = [(week + PRIOR_USERS) / (month / 4 + PRIOR_USERS) for week, month in zip(WEEK, MONTH, strict=True)]
    assert columns[:, 1].tolist() == pytest.approx([trend[0]] + [trend[1]] * 3)
    own = [4, 12, 0, 0]
    assert columns[:, 2].tolist() == pytest.approx(
        [np.log((1 + mine) / (1 + month)) for mine, month in zip(own, [MONTH[0]] + [MONTH[1]] * 3, strict=True)]
    )


def test_the_columns_of_some_rows_are_those_rows_of_all():
    assert (
        topic_columns(LIKE, users_of(ITEMS), np.array([2, 0])).tolist()
        == topic_columns(LIKE, users_of(ITEMS))[[2, 0]].tolist()
    )


def test_features_of_candidates_are_their_columns_and_what_goes_with_the_history_through_like_items():
    topics = Topics.of(LIKE, ITEMS)
    found = topics.features(
        USER, ITEMS.now, np.array([0.0, 3.0, 0.0, 1.0]), np.array([0.0, 6.0, 0.0, -2.0]), np.array([3, 0, 1])
    )
    assert len(found) == len(TOPIC_FEATURES)
    np.testing.assert_array_equal(np.stack(found[:3], axis=1), topics.columns[[3, 0, 1]])
    none, both = EVERYTHING * 1 / (1 + EVERYTHING), (3 + EVERYTHING * 1) / (1.5 + EVERYTHING)
    assert found[3].tolist() == pytest.approx([none, both, none])
    # Twice as much of the second item, and as much less of the last, which is like none of them.
    successors = (np.array([0.0, 6.0, 0.0]) + EVERYTHING * 1) / np.array(
        [1 + EVERYTHING, 1.5 + EVERYTHING, 1 + EVERYTHING]
    )
    assert found[TOPIC_FEATURES.index("topic_successors")].tolist() == pytest.approx(successors)


@pytest.mark.parametrize(
    ("name", "of_items"),
    [
        ("topic_times_chosen", [0, 2, 5, 0]),
        ("topic_share_of_choices", [0, 2 / 7, 5 / 7, 0]),
        ("topic_chosen_28d", [0, 1, 0, 0]),
        ("topic_recency", [0, np.exp(-27 / 30), np.exp(-29 / 30), 0]),
        ("topic_last_occasion", [0, 1, 0, 0]),
    ],
)
def test_features_of_candidates_tell_how_often_and_when_the_user_chose_the_like_items(name, of_items):
    found = Topics.of(LIKE, ITEMS).features(USER, ITEMS.now, np.zeros(4), np.zeros(4), np.array([0, 1, 2]))
    everything = EVERYTHING * np.mean(of_items)
    like = [of_items[1] + 0.5 * of_items[2], of_items[0], of_items[0]]
    assert found[TOPIC_FEATURES.index(name)].tolist() == pytest.approx(
        [(mine + everything) / (total + EVERYTHING) for mine, total in zip(like, (1.5, 1, 1), strict=True)]
    )


def test_nobody_chose_nothing():
    found = Topics.of(LIKE, ITEMS).features(user_of({}), ITEMS.now, np.zeros(4), np.zeros(4), np.array([0, 1]))
    assert not np.any(found[3:])
