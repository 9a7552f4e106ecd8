import numpy as np
import pytest

from recsys.config import Retrieval
from recsys.errors import ConfigError
from recsys.retrieval import CHANNELS, DEFAULT_CHANNELS, ON_REQUEST, Channels
from recsys.retrieval.cooccurrence import cooccurrence
from recsys.retrieval.fresh import fresh
from recsys.retrieval.from_history import HALF_LIFE_DAYS
from recsys.retrieval.interest import INTEREST_WEIGHT, interest, interest_popular
from recsys.retrieval.popular import popular
from recsys.retrieval.regression import regression
from recsys.retrieval.repeat import repeat
from recsys.retrieval.successors import successors
from recsys.retrieval.successors_by_text import successors_by_text
from tests.recsys.retrieval.states import UNKNOWN, items, query, user

NEVER = -np.inf


def test_each_channel_stands_under_its_name_in_the_order_in_which_equal_ranks_are_merged():
    assert [(name, channel) for name, channel in CHANNELS.items()] == [
        ("repeat", repeat),
        ("interest_popular", interest_popular),
        ("successors", successors),
        ("successors_by_text", successors_by_text),
        ("regression", regression),
        ("cooccurrence", cooccurrence),
        ("interest", interest),
        ("popular", popular),
        ("fresh", fresh),
    ]


def test_a_project_that_says_nothing_uses_the_channels_that_need_no_budget():
    found = Channels.of(Retrieval())
    assert list(found) == list(CHANNELS.items())
    assert found == DEFAULT_CHANNELS


def test_a_budget_switches_a_channel_on_and_nought_switches_it_off():
    found = Channels.of(Retrieval(budgets={"popular": 0, "trending": 20, "popular_in_category": 0, "fresh": 50}))
    assert found.names == (*(name for name in CHANNELS if name != "popular"), "trending")
    assert [found.most(name, 40) for name in ("repeat", "fresh", "trending")] == [40, 40, 20]


def test_each_attribute_that_is_named_has_a_channel_of_its_own():
    found = Channels.of(Retrieval(popular_by=("country", "plan"), budgets={"popular_by_plan": 7}))
    assert found.names == (*CHANNELS, "popular_by_country", "popular_by_plan")
    assert [found.most(name, 40) for name in found.names[-2:]] == [40, 7]
    assert "popular_by_plan" not in Channels.of(Retrieval(popular_by=("plan",), budgets={"popular_by_plan": 0})).names


def test_a_budget_of_no_channel_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match=r"names \['trendign'\].* expected some of \['repeat', .*'trending'"):
        Channels.of(Retrieval(budgets={"trendign": 20, "popular": 5}))


def test_a_project_without_any_channel_is_refused():
    with pytest.raises(ConfigError, match="switches every channel off"):
        Channels.of(Retrieval(budgets=dict.fromkeys(CHANNELS, 0)))


@pytest.mark.parametrize("channel", (CHANNELS | ON_REQUEST).values(), ids=CHANNELS | ON_REQUEST)
def test_a_channel_scores_every_item_and_an_unknown_user_is_no_reason_to_fail(channel):
    for who in (user(), user([1, 0])):
        scores = channel(query(who, items([3, UNKNOWN, 1]), interest=[0.1, 0.2, 0.3]))
        assert (scores.dtype, scores.shape) == (np.float64, (3,))
        assert not np.isnan(scores).any()


def test_repeat_orders_the_history_by_occasions_and_ties_by_popularity():
    # 1 and 3 were chosen twice, 3 is the more popular one; the popularity of 0 does not outweigh an occasion.
    scores = repeat(query(user([1, 3, 0], [2, 2, 1]), items([1000, 10, 50, 20])))
    assert np.argsort(-scores).tolist() == [3, 1, 0, 2]
    assert scores[2] == NEVER
    assert scores[[0, 1, 3]].tolist() == pytest.approx([1 + 1000 / 1001, 2 + 10 / 1001, 2 + 20 / 1001])


def test_repeat_has_nothing_to_say_of_a_user_without_a_history():
    assert repeat(query(user(), items([5, 6]))).tolist() == [NEVER, NEVER]


def test_repeat_copes_with_a_history_of_items_that_nobody_chose_lately():
    assert repeat(query(user([0, 1], [1, 2]), items([UNKNOWN, 0]))).tolist() == [1, 2]


def test_interest_is_the_soft_maximum_by_text():
    scores = interest(query(user([0]), items([1, 1, 1]), interest=[0.25, 0.75, 0.5]))
    assert scores.tolist() == [0.25, 0.75, 0.5]


def test_interest_with_popularity_weighs_a_unit_of_interest_against_log_popularity():
    scores = interest_popular(query(user([0]), items([3, UNKNOWN]), interest=[0.5, 0.75]))
    assert scores.tolist() == pytest.approx([INTEREST_WEIGHT * 0.5 + np.log(4), INTEREST_WEIGHT * 0.75])


@pytest.mark.parametrize("channel", [interest, interest_popular])
def test_interest_needs_a_text_model_and_something_to_go_by(channel):
    assert channel(query(user([0]), items([1, 1]))).tolist() == [NEVER, NEVER]
    assert channel(query(user(), items([1, 1]), interest=[0.0, 0.0])).tolist() == [NEVER, NEVER]


def test_of_a_user_without_a_history_the_interest_is_that_of_the_query():
    assert interest(query(user(), items([1, 1]), interest=[0.5, 0.75])).tolist() == [0.5, 0.75]


def test_cooccurrence_sums_the_neighbours_of_the_history():
    neighbours = [[0, 0.5, 0.25, 0], [0.5, 0, 2, 0], [0.75, 0, 0, 0], [1, 1, 1, 0]]
    scores = cooccurrence(query(user([0, 1]), items([1] * 4, neighbours=neighbours)))
    assert scores.tolist() == [0.5, 0.5, 2.25, NEVER]


def test_cooccurrence_has_nothing_to_say_of_a_user_without_a_history():
    assert cooccurrence(query(user(), items([1, 1], neighbours=[[0, 1], [1, 0]]))).tolist() == [NEVER, NEVER]


def test_popular_are_the_items_that_anybody_chose_in_the_last_four_weeks():
    assert popular(query(user(), items([3, 0, UNKNOWN, 1]))).tolist() == [3, NEVER, NEVER, 1]


def test_fresh_are_the_items_that_appeared_in_the_last_four_weeks():
    scores = fresh(query(user(), items([5, 6, 7, UNKNOWN], age_days=[1, 28, 28.001, UNKNOWN])))
    assert scores.tolist() == [5, 6, NEVER, NEVER]


def test_popularity_is_zero_where_none_is_known():
    assert items([2, UNKNOWN]).popularity.tolist() == [2, 0]


def test_excluded_items_are_the_merge_s_to_leave_out():
    assert popular(query(user(), items([3, 1]), exclude=[0])).tolist() == [3, 1]


def test_the_regression_brings_what_the_history_speaks_for():
    shop = items([1] * 4, regression=[[0, 2, -1, 0], [4, 0, 3, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    # Item 0 was chosen a day ago, item 1 two days ago.
    first, second = 0.5 ** (1 / HALF_LIFE_DAYS), 0.5 ** (2 / HALF_LIFE_DAYS)
    assert regression(query(user([0, 1]), shop)) == pytest.approx([4 * second, 2 * first, 3 * second - first, NEVER])
    assert regression(query(user([0]), shop)).tolist() == [NEVER, 2 * first, NEVER, NEVER]
    assert regression(query(user(), shop)).tolist() == [NEVER] * 4


def test_what_follows_the_history_is_brought_and_an_item_may_follow_itself():
    shop = items([1] * 4, successors=[[5, 0, -2, 0], [0, 6, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    first, second = 0.5 ** (1 / HALF_LIFE_DAYS), 0.5 ** (2 / HALF_LIFE_DAYS)
    assert successors(query(user([0, 1]), shop)) == pytest.approx([5 * first, 6 * second, NEVER, NEVER])
    assert successors(query(user(), shop)).tolist() == [NEVER] * 4
