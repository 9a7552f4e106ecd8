import numpy as np

from features.recommender import Recommender
from tests.training.project import FEATURES, at, items_state, user_of
from training import shown_rows as module
from training.ranker_rows import gains_of
from training.shown_lists import ShownList, ShownWindow
from training.shown_rows import MOST_PLACES, drawn, shown_rows, surfaces_of

ITEMS = items_state(6, users_28d=[6, 5, 4, 3, 2, 1])
RECOMMENDER = Recommender(FEATURES, ITEMS, None, 10)
USERS_28D = FEATURES.behaviour.index("item_users_28d")
TIMES_CHOSEN = FEATURES.behaviour.index("times_chosen")


def shown(items: list[int], weights: list[float], *, user: str = "u", surface: str = "", asked: bool = False):
    return ShownList(user, surface, asked, np.array(items), np.arange(len(items)), np.array(weights))


def rows_of(*lists: ShownList):
    states = {"u": user_of({2: 4.0}), "v": user_of({})}
    window = ShownWindow(at(0), ITEMS, list(lists), states)
    return shown_rows(RECOMMENDER, window, gain_of=gains_of([0.2, 1.0]), surfaces=["", "home"])


def test_a_list_is_a_group_of_what_was_shown_with_what_was_known_of_its_user():
    rows = rows_of(shown([3, 2], [0.0, 1.0]), shown([5, 0, 1], [0.2, 0.0, 0.0], user="v"))
    assert rows is not None
    assert rows.groups.tolist() == [2, 3]
    assert rows.matrix[:, USERS_28D].tolist() == [3, 4, 1, 6, 5]
    assert rows.matrix[:, TIMES_CHOSEN].tolist() == [0, 4, 0, 0, 0]


def test_a_purchase_gains_more_than_a_click_and_what_was_passed_over_nothing():
    rows = rows_of(shown([3, 2, 1], [0.2, 1.0, 0.0]))
    assert rows is not None
    assert rows.gains.tolist() == [1, 2, 0]


def test_a_place_is_one_of_its_surface_and_none_is_that_of_candidates_that_were_not_shown():
    rows = rows_of(shown([3, 2], [0.0, 1.0]), shown([3, 2], [0.0, 1.0], surface="home"))
    assert rows is not None
    assert rows.places is not None
    assert rows.places.tolist() == [1, 2, 1 + MOST_PLACES, 2 + MOST_PLACES]


def test_the_place_is_in_no_column_of_the_matrix():
    one, other = rows_of(shown([3, 2, 1], [0.0, 1.0, 0.0])), rows_of(shown([1, 2, 3], [0.0, 1.0, 0.0]))
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one.matrix, other.matrix[::-1])


def test_of_no_list_there_are_no_rows():
    assert rows_of() is None


def test_answers_to_queries_and_lists_without_an_order_are_not_learned_from():
    good = shown([0, 1], [1.0, 0.0])
    lists = [good, shown([0, 1], [0.0, 0.0]), shown([0, 1], [1.0, 1.0]), shown([0, 1], [1.0, 0.0], asked=True)]
    [only] = drawn(lists, seed=0)
    assert only is good


def test_of_a_user_and_of_a_window_no_more_than_so_many_are_drawn_by_chance_and_in_their_order(monkeypatch):
    monkeypatch.setattr(module, "LISTS_OF_A_USER", 2)
    monkeypatch.setattr(module, "LISTS_OF_A_WINDOW", 5)
    lists = [shown([0, 1], [1.0, 0.0], user=f"user-{at % 4}") for at in range(40)]
    number = {id(one): at for at, one in enumerate(lists)}
    taken = [[number[id(one)] for one in drawn(lists, seed=seed)] for seed in range(20)]
    assert all(found == sorted(found) and len(found) == 5 for found in taken)
    assert all(max(np.bincount([at % 4 for at in found])) == 2 for found in taken)
    assert len({at for found in taken for at in found}) > 30
    assert taken[0] == [number[id(one)] for one in drawn(lists, seed=0)]


def test_a_surface_without_a_name_is_the_empty_one():
    assert surfaces_of(["home", None, "cart", "home"]) == ["", "cart", "home"]
