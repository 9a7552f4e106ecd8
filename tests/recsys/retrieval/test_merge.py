import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.retrieval import CHANNELS, Channels, Query, retrieve
from recsys.retrieval.merge import ITEMS_A_SURE_ONE, LONGER, best
from tests.recsys.retrieval.states import UNKNOWN, items, query, user


def from_lists(**lists: list[int]) -> Channels:
    """Channels that bring lists of items, the best first."""

    def channel(ranked: list[int]):
        def scores(request):
            found = request.nothing()
            found[ranked] = -np.arange(len(ranked), dtype=np.float64)
            return found

        return scores

    return Channels({name: channel(found) for name, found in lists.items()})


REQUEST = query(user(), items([0.0] * 8))


def test_an_item_has_one_over_120_and_its_rank_of_every_channel_that_brought_it():
    channels = from_lists(one=[5, 0, 1, 2], other=[3, 1, 2, 0])
    # 1: 1/122 + 1/121. 0: 1/121 + 1/123. 2: 1/123 + 1/122. 5 and 3: 1/120.
    assert retrieve(REQUEST, limit=8, channels=channels).positions.tolist() == [1, 0, 2, 5, 3]


def test_the_first_of_each_channel_are_sure():
    agreed = list(range(1, 41))
    channels = from_lists(one=agreed, other=agreed, third=[0])
    assert 0 not in retrieve(query(user(), items([0.0] * 41)), limit=19, channels=channels).positions
    # Of 20 candidates each channel has one for sure; it stands where its rank puts it.
    assert retrieve(query(user(), items([0.0] * 41)), limit=20, channels=channels).positions.tolist() == [
        *range(1, 20),
        0,
    ]


def test_equal_ranks_go_in_the_order_of_the_channels():
    channels = from_lists(one=[7, 6], other=[1, 2], third=[4, 0])
    assert retrieve(REQUEST, limit=8, channels=channels).positions.tolist() == [7, 1, 4, 6, 2, 0]
    channels = from_lists(third=[4, 0], other=[1, 2], one=[7, 6])
    assert retrieve(REQUEST, limit=8, channels=channels).positions.tolist() == [4, 1, 7, 0, 2, 6]


def test_at_most_limit_items_are_kept_the_best_of_all_channels():
    channels = from_lists(one=[5, 0, 1, 2], other=[3, 4, 6, 7])
    assert retrieve(REQUEST, limit=3, channels=channels).positions.tolist() == [5, 3, 0]


def test_provenance_names_every_channel_that_brought_an_item():
    channels = from_lists(one=[5, 0], other=[0, 3], third=[])
    found = retrieve(REQUEST, limit=8, channels=channels)
    assert found.positions.tolist() == [0, 5, 3]
    assert [found.provenance(at) for at in range(len(found))] == [("one", "other"), ("one",), ("other",)]
    assert found.brought.tolist() == [[True, True, False], [True, False, False], [False, True, False]]
    assert found.channels == ("one", "other", "third")


def test_a_channel_brings_twice_as_many_as_are_kept():
    channels = from_lists(one=[5, 0, 3], other=[4, 1, 3], third=[2, 6, 3])
    # One candidate: `3`, which all have third, would be the best with 3/122, and is in none of the lists of two.
    assert retrieve(REQUEST, limit=1, channels=channels).positions.tolist() == [5]
    found = retrieve(REQUEST, limit=2, channels=channels)
    assert found.positions.tolist() == [3, 5]
    assert [found.provenance(at) for at in range(2)] == [("one", "other", "third"), ("one",)]


def test_excluded_items_are_left_out_and_those_behind_them_move_up():
    channels = from_lists(one=[5, 0, 1], other=[1, 2, 5])
    found = retrieve(query(user(), items([0.0] * 8), exclude=[5, 1]), limit=2, channels=channels)
    assert found.positions.tolist() == [0, 2]
    assert found.provenance(0) == ("one",)


def test_of_a_channel_no_more_than_its_budget_are_among_the_candidates():
    free = from_lists(one=[5, 0, 3, 1], other=[3, 5, 0])
    bound = Channels(free.named, budgets={"one": 2})
    found = retrieve(REQUEST, limit=8, channels=bound)
    # 5: 1/120 + 1/121. 0: 1/121 + 1/122. 3: 1/120, for `one` has it third; and 1 was brought by `one` alone.
    assert found.positions.tolist() == [5, 0, 3]
    assert [found.provenance(at) for at in range(3)] == [("one", "other"), ("one", "other"), ("other",)]
    assert retrieve(REQUEST, limit=1, channels=bound).positions.tolist() == [5]
    # With the budget of all candidates it is as if there was none.
    ample = retrieve(REQUEST, limit=4, channels=Channels(free.named, budgets={"one": 4}))
    assert ample.positions.tolist() == retrieve(REQUEST, limit=4, channels=free).positions.tolist() == [5, 3, 0, 1]


def test_when_no_channel_has_anything_to_say_nothing_is_retrieved():
    channels = from_lists(one=[], other=[])
    found = retrieve(REQUEST, limit=5, channels=channels)
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


def random_request() -> Query:
    """Of thirty items, with something for every channel to say."""
    random, n = np.random.default_rng(7), 30
    together, weights = (random.random((n, n)) * (random.random((n, n)) < 0.2) for _ in range(2))
    shop = items(
        random.integers(0, 9, n).astype(float),
        age_days=random.integers(1, 60, n),
        neighbours=together,
        regression=np.where(weights > 0, weights - 0.4, 0.0),
    )
    return query(user([3, 11, 25], [2, 1, 4]), shop, interest=random.random(n).round(2), exclude=[5, 11])


@pytest.mark.parametrize("limit", [1, 4, 8, 20, 30])
def test_the_channels_of_every_project_are_merged_by_the_ranks_that_they_give(limit):
    request, fused, first = random_request(), {}, {}
    for place, channel in enumerate(CHANNELS.values()):
        scores = channel(request)
        asked = [item for item in range(30) if item not in (5, 11) and scores[item] > -np.inf]
        for rank, item in enumerate(sorted(asked, key=lambda item: (-scores[item], item))[: LONGER * limit]):
            fused[item] = fused.get(item, 0) + 1 / (120 + rank)
            first[item] = min(first.get(item, (np.inf, 0)), (rank, place))
    order = sorted(fused, key=lambda item: (-round(fused[item], 12), first_channel(item, request, limit)))
    sure = [item for item in order if first[item][0] < limit // ITEMS_A_SURE_ONE]
    kept = {*sure[:limit], *[item for item in order if item not in sure][: max(0, limit - len(sure))]}
    assert retrieve(request, limit=limit).positions.tolist() == [item for item in order if item in kept]


def first_channel(item: int, request: Query, limit: int) -> tuple[int, int]:
    """The first of the channels that give the item the best of its ranks; then its position."""
    ranks = []
    for channel in CHANNELS.values():
        found = best(np.where(request.exclude, -np.inf, channel(request)), LONGER * limit).tolist()
        ranks.append(found.index(item) if item in found else np.inf)
    return int(np.argmin(ranks)), item


scores = st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0, 2.0]) | st.floats(-9, 9), max_size=40)


@given(scores, st.integers(1, 45))
def test_the_best_are_those_of_a_full_sort(values, limit):
    order = sorted((at for at, value in enumerate(values) if value > -np.inf), key=lambda at: (-values[at], at))
    found = best(np.array(values, dtype=np.float64), limit)
    assert found.tolist() == order[:limit]
    assert found.dtype == np.int64


def test_a_score_that_is_no_number_is_no_score():
    assert best(np.array([np.nan, 1.0, np.nan, 2.0]), 3).tolist() == [3, 1]


def test_items_that_are_added_stand_behind_the_others_and_nobody_brought_them():
    found = retrieve(REQUEST, limit=8, channels=from_lists(one=[5, 0], other=[0])).with_items(np.array([0, 7]))
    assert found.positions.tolist() == [0, 5, 7]
    assert [found.provenance(at) for at in range(3)] == [("one", "other"), ("one",), ()]
