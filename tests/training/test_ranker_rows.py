from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from features.recommender import Recommender
from tests.training.project import FEATURES, at, items_state, user_of
from training import ranker_rows as made
from training.ranker_rows import RankerRows, gains_of, ranker_rows
from training.windows import Window

POPULARITY = [10, 9, 8, 7, 6, 5, 4, 3, 0, 0]
ITEMS = items_state(10, users_28d=POPULARITY)
RECOMMENDER = Recommender(FEATURES, ITEMS, None, 10)
TIMES_CHOSEN = FEATURES.behaviour.index("times_chosen")
USERS_28D = FEATURES.behaviour.index("item_users_28d")
VIEW, PURCHASE = 0.2, 1.0


def rows_of(window: Window, *, seed: int) -> RankerRows | None:
    return ranker_rows(RECOMMENDER, window, gain_of=gains_of([VIEW, PURCHASE]), seed=seed)


def window_of(*labels: Mapping[int, float], history: Mapping[int, float] | None = None) -> Window:
    """A window with a user for each of the labels, all with one history."""
    users = [f"user-{number}" for number in range(len(labels))]
    state = user_of({0: 3.0, 1: 1.0} if history is None else history)
    return Window(at(0), ITEMS, users, [state] * len(users), [dict(own) for own in labels])


def groups_of(rows: RankerRows) -> list[tuple[NDArray[np.float32], list[int]]]:
    ends = np.cumsum(rows.groups)
    return [
        (rows.matrix[end - size : end], rows.gains[end - size : end].tolist())
        for size, end in zip(rows.groups, ends, strict=True)
    ]


def test_a_user_gives_a_group_of_all_candidates_and_one_of_those_that_are_new():
    rows = rows_of(window_of({0: PURCHASE, 3: PURCHASE}), seed=0)
    assert rows is not None
    (everything, gains), (new, new_gains) = groups_of(rows)
    # The eight items that anybody took lately; two of them are no news to the user.
    assert sorted(everything[:, USERS_28D]) == [3, 4, 5, 6, 7, 8, 9, 10]
    assert sorted(new[:, USERS_28D]) == [3, 4, 5, 6, 7, 8]
    assert sorted(everything[:, TIMES_CHOSEN]) == [0] * 6 + [1, 3]
    assert dict(zip(everything[:, USERS_28D], gains, strict=True)) == {
        10: 2, 7: 2, 9: 0, 8: 0, 6: 0, 5: 0, 4: 0, 3: 0
    }  # fmt: skip
    assert dict(zip(new[:, USERS_28D], new_gains, strict=True)) == {7: 2, 8: 0, 6: 0, 5: 0, 4: 0, 3: 0}


def test_gains_are_in_the_order_of_the_weights_of_the_interactions():
    rows = rows_of(window_of({2: VIEW, 3: PURCHASE}), seed=0)
    assert rows is not None
    everything, gains = groups_of(rows)[0]
    found = dict(zip(everything[:, USERS_28D], gains, strict=True))
    assert (found[8], found[7]) == (1, 2)


def test_what_was_chosen_but_not_retrieved_is_no_row():
    rows = rows_of(window_of({3: PURCHASE, 9: PURCHASE}), seed=0)
    assert rows is not None
    assert rows.gains.sum() == 4  # item 3, in both groups


def test_a_group_in_which_nothing_or_everything_was_chosen_is_left_out():
    # Only what the user had was chosen: there is nothing to order in the group of new items.
    rows = rows_of(window_of({0: PURCHASE}), seed=0)
    assert rows is not None
    assert rows.groups.tolist() == [8]
    everything = dict.fromkeys(range(10), PURCHASE)
    assert rows_of(window_of(everything, history={}), seed=0) is None
    assert rows_of(window_of({9: PURCHASE}), seed=0) is None
    assert rows_of(window_of(), seed=0) is None


def test_at_most_so_many_candidates_without_a_label_are_kept_and_every_one_with_a_label(monkeypatch):
    monkeypatch.setattr(made, "NEGATIVES", 3)
    rows = rows_of(window_of({3: PURCHASE, 4: VIEW}, {2: PURCHASE}), seed=0)
    assert rows is not None
    assert [sorted(gains) for _, gains in groups_of(rows)] == [[0, 0, 0, 1, 2]] * 2 + [[0, 0, 0, 2]] * 2
    assert rows.matrix.shape == (18, len(FEATURES.behaviour))


def test_the_same_seed_draws_the_same_rows_and_another_one_others(monkeypatch):
    monkeypatch.setattr(made, "NEGATIVES", 3)
    window = window_of(*[{3: PURCHASE}] * 5)
    one, again, other = (rows_of(window, seed=seed) for seed in (1, 1, 2))
    assert one is not None
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(one.matrix, again.matrix)
    assert not np.array_equal(one.matrix, other.matrix, equal_nan=True)


def test_gains_are_the_ranks_of_the_weights():
    assert gains_of([1.0, 0.2, 1.0, 5.0]) == {0.2: 1, 1.0: 2, 5.0: 3}
