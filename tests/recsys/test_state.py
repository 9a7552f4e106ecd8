import numpy as np
import pytest

from recsys.state import ItemState, Recent, UserState
from tests.neighbours import no_neighbours

NO_NEIGHBOURS = no_neighbours(3)
# Items 7 and 2 on the latest occasion; 5 before it.
USER = UserState(
    behaviour=np.array([1.5]),
    history=np.array([7, 2, 5]),
    occasions=np.array([3.0, 1.0, 2.0]),
    first_at=np.array([10.0, 40.0, 20.0]),
    last_at=np.array([40.0, 40.0, 30.0]),
    types=np.array(["view", "purchase", "view"]),
    spent=np.array([0.0, 8.0, 0.5]),
    recent=Recent(
        np.array([2, -1, 7, 2]), np.array(["view", "buy", "view", "buy"]), np.array([44.0, 43.0, 42.0, 40.0])
    ),
)


def marked(*items: int) -> np.ndarray:
    mask = np.zeros(10, dtype=np.bool_)
    mask[list(items)] = True
    return mask


def test_a_behaviour_feature_is_found_by_its_name():
    items = ItemState(0.0, ("users", "value"), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), NO_NEIGHBOURS)
    assert len(items) == 3
    assert items.column("users").tolist() == [1, 3, 5]
    assert items.column("value").tolist() == [2, 4, 6]
    with pytest.raises(ValueError, match="tuple"):
        items.column("price")


def test_the_latest_occasion_holds_the_items_chosen_at_the_latest_moment():
    assert USER.in_last_occasion.tolist() == [True, True, False]
    assert USER.in_last_occasion.dtype == np.bool_


def test_without_some_items_the_rest_keeps_its_order_and_what_stands_beside_it():
    rest = USER.without(marked(2, 9))
    assert rest.history.tolist() == [7, 5]
    assert rest.types.tolist() == ["view", "view"]
    assert rest.occasions.tolist() == [3, 2]
    assert rest.first_at.tolist() == [10, 20]
    assert rest.last_at.tolist() == [40, 30]
    assert rest.spent.tolist() == [0, 0.5]
    assert rest.behaviour.tolist() == [1.5]
    # What is not in the catalogue stays.
    assert (rest.recent.items.tolist(), rest.recent.types.tolist()) == ([-1, 7], ["buy", "view"])
    assert rest.recent.at.tolist() == [43, 42]


def test_without_the_items_of_the_latest_occasion_the_one_before_it_is_the_latest():
    assert USER.without(marked(7, 2)).in_last_occasion.tolist() == [True]


def test_a_user_without_a_history_has_no_latest_occasion():
    rest = USER.without(marked(7, 2, 5))
    assert rest.history.tolist() == rest.types.tolist() == []
    assert rest.in_last_occasion.tolist() == []
