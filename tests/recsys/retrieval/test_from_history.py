import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from recsys.retrieval import CHANNELS, retrieve
from recsys.retrieval.from_history import HALF_LIFE_DAYS, FromHistory, Rows
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
    lengths, columns, values = FromHistory(user([1, 0]), SHOP).neighbours
    assert (lengths.tolist(), columns.tolist(), values.tolist()) == ([2, 1], [0, 2, 1], [0.25, 1, 0.5])


@given(st.integers(0, 5), st.integers(0, 2**32 - 1), st.lists(st.integers(0, 4), max_size=8))
def test_rows_are_those_that_scipy_takes_and_their_sums_as_well(columns, seed, wanted):
    random = np.random.default_rng(seed)
    matrix = sp.random_array((5, columns), density=0.5, format="csr", dtype=np.float32, rng=random)
    found, expected = Rows.of(matrix, np.array(wanted, dtype=np.int64)), matrix[wanted]
    assert found.lengths.tolist() == np.diff(expected.indptr).tolist()
    assert found.columns.tolist() == expected.indices.tolist()
    assert found.values.tolist() == expected.data.tolist()
    weights = random.normal(size=len(wanted))
    dense = expected.toarray().astype(np.float64)
    assert found.sums(columns) == pytest.approx(dense.sum(axis=0))
    assert found.sums(columns, weights) == pytest.approx(weights @ dense, abs=1e-12)


def test_both_are_computed_once_a_request():
    request = query(user([0, 1]), SHOP)
    regression, neighbours = request.from_history.regression, request.from_history.neighbours
    assert request.from_history.regression is regression
    assert request.from_history.neighbours is neighbours


def test_no_channel_writes_into_what_others_read():
    request = query(user([0, 1]), SHOP, interest=[0.1, 0.2, 0.3, 0.4])
    kept = [getattr(request.from_history, name) for name in ("regression", "successors", "cooccurrence")]
    kept += request.from_history.neighbours
    before = [values.copy() for values in kept]
    retrieve(request, limit=4)
    for channel in CHANNELS.values():
        channel(request)[:] = np.inf
    assert [values.tolist() for values in kept] == [values.tolist() for values in before]
    with pytest.raises(ValueError, match="read-only"):
        request.from_history.regression[0] = np.inf
