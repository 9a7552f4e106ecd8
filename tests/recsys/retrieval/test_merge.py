import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.retrieval import CHANNELS, retrieve
from recsys.retrieval.merge import best
from tests.recsys.retrieval.states import UNKNOWN, items, query, user


@pytest.fixture
def channels(monkeypatch):
    """Replace the channels by lists of items, the best first."""

    def use(**lists: list[int]) -> None:
        def channel(ranked: list[int]):
            def scores(request):
                found = request.nothing()
                found[ranked] = -np.arange(len(ranked), dtype=np.float64)
                return found

            return scores

        monkeypatch.setattr("recsys.retrieval.merge.CHANNELS", {name: channel(found) for name, found in lists.items()})

    return use


REQUEST = query(user(), items([0.0] * 8))


def test_an_item_has_one_over_60_and_its_rank_of_every_channel_that_brought_it(channels):
    channels(one=[5, 0, 1, 2], other=[3, 1, 2, 0])
    # 1: 1/62 + 1/61. 0: 1/61 + 1/63. 2: 1/63 + 1/62. 5 and 3: 1/60.
    assert retrieve(REQUEST, limit=8).positions.tolist() == [1, 0, 2, 5, 3]


def test_the_first_of_each_channel_are_sure(channels):
    agreed = list(range(1, 41))
    channels(one=agreed, other=agreed, third=[0])
    assert 0 not in retrieve(query(user(), items([0.0] * 41)), limit=19).positions
    # Of 20 candidates each channel has one for sure; it stands where its rank puts it.
    assert retrieve(query(user(), items([0.0] * 41)), limit=20).positions.tolist() == [*range(1, 20), 0]


def test_equal_ranks_go_in_the_order_of_the_channels(channels):
    channels(one=[7, 6], other=[1, 2], third=[4, 0])
    assert retrieve(REQUEST, limit=8).positions.tolist() == [7, 1, 4, 6, 2, 0]
    channels(third=[4, 0], other=[1, 2], one=[7, 6])
    assert retrieve(REQUEST, limit=8).positions.tolist() == [4, 1, 7, 0, 2, 6]


def test_at_most_limit_items_are_kept_the_best_of_all_channels(channels):
    channels(one=[5, 0, 1, 2], other=[3, 4, 6, 7])
    assert retrieve(REQUEST, limit=3).positions.tolist() == [5, 3, 0]


def test_provenance_names_every_channel_that_brought_an_item(channels):
    channels(one=[5, 0], other=[0, 3], third=[])
    found = retrieve(REQUEST, limit=8)
    assert found.positions.tolist() == [0, 5, 3]
    assert [found.provenance(at) for at in range(len(found))] == [("one", "other"), ("one",), ("other",)]
    assert found.brought.tolist() == [[True, True, False], [True, False, False], [False, True, False]]
    assert found.channels == ("one", "other", "third")


def test_a_channel_brings_only_its_first_items_up_to_the_limit(channels):
    channels(one=[5, 0, 3], other=[3, 5, 0])
    found = retrieve(REQUEST, limit=2)
    assert found.positions.tolist() == [5, 3]
    assert [found.provenance(at) for at in range(2)] == [("one", "other"), ("other",)]


def test_excluded_items_are_left_out_and_those_behind_them_move_up(channels):
    channels(one=[5, 0, 1], other=[1, 2, 5])
    found = retrieve(query(user(), items([0.0] * 8), exclude=[5, 1]), limit=2)
    assert found.positions.tolist() == [0, 2]
    assert found.provenance(0) == ("one",)


def test_when_no_channel_has_anything_to_say_nothing_is_retrieved(channels):
    channels(one=[], other=[])
    found = retrieve(REQUEST, limit=5)
    assert len(found) == 0
    assert (found.positions.dtype, found.brought.shape) == (np.int64, (0, 2))


def test_each_channel_of_the_engine_brings_what_it_knows():
    shop = items(
        [9, 8, 0, 0, 0, 1],
        age_days=[300, 300, 300, 300, 300, 3],
        neighbours=np.diag([0.0, 0, 1, 0, 0], k=1),  # of item 2: item 3
    )
    found = retrieve(query(user([2]), shop, interest=[0.0, 0.0, 0.1, 0.0, 0.9, 0.0]), limit=6)
    by_item = {item: found.provenance(at) for at, item in enumerate(found.positions.tolist())}
    always = {"interest_popular", "interest"}
    assert {item: set(names) - always for item, names in by_item.items()} == {
        0: {"popular"},
        1: {"popular"},
        2: {"repeat"},
        3: {"cooccurrence"},
        4: set(),
        5: {"popular", "fresh"},
    }
    assert found.channels == tuple(CHANNELS)


def test_for_a_user_never_seen_there_are_popular_and_fresh_items():
    shop = items([9, 8, UNKNOWN, 1], age_days=[300, 300, UNKNOWN, 3])
    found = retrieve(query(user(), shop, interest=[0.0] * 4), limit=4)
    assert found.positions.tolist() == [3, 0, 1]
    assert [found.provenance(at) for at in range(3)] == [("popular", "fresh"), ("popular",), ("popular",)]


def test_retrieving_again_gives_the_same_whatever_the_ties():
    shop = items([1.0] * 50, age_days=[1.0] * 50)
    first, second = (retrieve(query(user([7, 3]), shop, interest=[0.5] * 50), limit=20) for _ in range(2))
    assert first.positions.tolist() == second.positions.tolist()
    # Every channel but repeat ties: the items by position. Repeat puts 3 and 7 first.
    assert first.positions.tolist() == [3, 7, 0, 1, 2, *range(4, 7), *range(8, 20)]


scores = st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0, 2.0]) | st.floats(-9, 9), max_size=40)


@given(scores, st.integers(1, 45))
def test_the_best_are_those_of_a_full_sort(values, limit):
    order = sorted((at for at, value in enumerate(values) if value > -np.inf), key=lambda at: (-values[at], at))
    found = best(np.array(values, dtype=np.float64), limit)
    assert found.tolist() == order[:limit]
    assert found.dtype == np.int64


def test_a_score_that_is_no_number_is_no_score():
    assert best(np.array([np.nan, 1.0, np.nan, 2.0]), 3).tolist() == [3, 1]


def test_items_that_are_added_stand_behind_the_others_and_nobody_brought_them(channels):
    channels(one=[5, 0], other=[0])
    found = retrieve(REQUEST, limit=8).with_items(np.array([0, 7]))
    assert found.positions.tolist() == [0, 5, 7]
    assert [found.provenance(at) for at in range(3)] == [("one", "other"), ("one",), ()]
