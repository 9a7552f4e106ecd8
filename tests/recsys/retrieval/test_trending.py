import numpy as np
import pytest

from recsys.retrieval.trending import trending
from tests.recsys.retrieval.states import UNKNOWN, items, query, user

NEVER = -np.inf


def trend_of(*new_users: tuple[float, float]) -> list[float]:
    return trending(query(user(), items([0.0] * len(new_users), new_users=new_users))).tolist()


def test_a_trend_is_the_logarithm_of_the_ratio_of_the_rates_over_its_standard_error():
    # 3 and 1 in the week, 1 and 3 before it; each item has 4 in all, so that the prior of each is one user. With it
    # the shares are 4/6 of the week and 2/6 before, so twice as much; the variance is 1/4 + 1/2.
    rising, falling = trend_of((3, 4), (1, 4))
    assert rising == pytest.approx(np.log(2) / np.sqrt(0.75))
    assert falling == NEVER


def test_the_same_growth_of_more_users_is_more_of_a_trend_and_a_single_user_is_hardly_one():
    few, many, steady = trend_of((1, 2), (50, 100), (100, 400))
    assert 0 < few < many / 3
    assert steady == NEVER


def test_a_busier_week_for_everything_is_no_trend_of_anything():
    assert trend_of((30, 40), (3, 4), (6, 8)) == pytest.approx([NEVER] * 3)


def test_what_nobody_discovered_this_week_and_what_nothing_is_known_of_do_not_trend():
    trend = trend_of((0, 8), (UNKNOWN, UNKNOWN), (4, 4), (0, 0))
    assert [value > NEVER for value in trend] == [False, False, True, False]


def test_where_nothing_is_known_nothing_trends():
    assert trend_of((UNKNOWN, UNKNOWN), (0, 0)) == [NEVER, NEVER]
