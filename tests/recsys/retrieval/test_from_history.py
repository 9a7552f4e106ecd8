import numpy as np
import pytest

from recsys.retrieval import CHANNELS, retrieve
from recsys.retrieval.from_history import HALF_LIFE_DAYS, FromHistory
from tests.recsys.retrieval.states import items, query, user

SHOP = items(
    [1] * 4,
    neighbours=[[0, 0.5, 0, 0], [0.25, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    regression=[[0, 2, -1, 0], [4, 0, 3, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    successors=[[5, 0, -2, 0], [0, 6, 7, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
)


def test_the_regression_sums_what_is_left_of_the_interest_in_the_history():
    # Item 0 was chosen a day ago, item 1 two days ago.
    first, second = 0.5 ** (1 / HALF_LIFE_DAYS), 0.5 ** (2 / HALF_LIFE_DAYS)
    found = FromHistory(user([0, 1]), SHOP).regression
    assert found == pytest.approx([4 * second, 2 * first, 3 * second - first, 0])
    assert FromHistory(user(), SHOP).regression.tolist() == [0] * 4
    following = FromHistory(user([0, 1]), SHOP).successors
    assert following == pytest.approx([5 * first, 6 * second, 7 * second - 2 * first, 0])


def test_the_neighbours_are_those_of_the_history_in_its_order():
    assert FromHistory(user([1, 0]), SHOP).neighbours.toarray().tolist() == [[0.25, 0, 1, 0], [0, 0.5, 0, 0]]


def test_both_are_computed_once_a_request():
    request = query(user([0, 1]), SHOP)
    regression, neighbours = request.from_history.regression, request.from_history.neighbours
    assert request.from_history.regression is regression
    assert request.from_history.neighbours is neighbours


def test_no_channel_writes_into_what_others_read():
    request = query(user([0, 1]), SHOP, interest=[0.1, 0.2, 0.3, 0.4])
    before = request.from_history.regression.copy(), request.from_history.neighbours.toarray()
    retrieve(request, limit=4)
    for channel in CHANNELS.values():
        channel(request)[:] = np.inf
    assert request.from_history.regression.tolist() == before[0].tolist()
    assert request.from_history.neighbours.toarray().tolist() == before[1].tolist()
    with pytest.raises(ValueError, match="read-only"):
        request.from_history.regression[0] = np.inf
