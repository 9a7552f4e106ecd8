from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from features.topics import Topics
from recsys.catalogue import Catalogue
from recsys.state import ItemState, Neighbours, PopularityBy
from recsys.text_neighbours import TextNeighbours
from serving import live_items
from serving.live_items import LiveItems
from tests.neighbours import no_neighbours


def vector(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


@pytest.fixture
def items(monkeypatch: pytest.MonkeyPatch) -> LiveItems:
    """Items a and b: known are 1 and 2 users, vectors (1, 0) and (0, 1), and b is a neighbour of a."""
    monkeypatch.setattr(live_items, "MIN_ROOM", 2)
    catalogue = Catalogue.load(pl.DataFrame({"item_id": ["a", "b"], "title": ["A", None]}))
    neighbours = Neighbours(*(sp.csr_array(np.array([[0, value], [0, 0]], dtype=np.float32)) for value in (3, 4, 5)))
    state = ItemState(5.0, ("users_28d", "users_7d"), np.array([[1.0, 0.0], [2.0, 1.0]]), neighbours)
    vectors = np.eye(2, dtype=np.float32)
    return LiveItems(catalogue, state, vectors, Topics.of(TextNeighbours.of(vectors), state))


def test_without_changes_they_are_those_of_the_bundle(items):
    assert len(items) == 2
    assert items.vectors.tolist() == [[1, 0], [0, 1]]
    assert [items.title(0), items.title(1)] == ["A", ""]
    assert items.gone.tolist() == [False, False]


def test_items_are_found_where_they_are_and_not_once_they_are_taken_out(items):
    items.put("c", "C", vector(0.6, 0.8))
    items.remove("a")
    assert items.positions(["c", "nobody's", "a", "b"]).tolist() == [2, -1, -1, 1]
    assert items.positions([]).tolist() == []


def test_an_added_item_stands_behind_the_others_and_nothing_is_known_of_it(items):
    items.put("c", "C", vector(0.6, 0.8))
    assert items.catalogue.index == {"a": 0, "b": 1, "c": 2}
    assert items.catalogue.item_ids == ["a", "b", "c"]
    assert items.title(2) == "C"
    assert items.vectors == pytest.approx(np.array([[1, 0], [0, 1], [0.6, 0.8]]))
    assert items.state.popularity.tolist() == [1, 2, 0]
    assert np.isnan(items.state.behaviour[2]).all()
    for matrix, strength in zip(items.state.neighbours, (3, 4, 5), strict=True):
        assert matrix.toarray().tolist() == [[0, strength, 0], [0, 0, 0], [0, 0, 0]]
    assert items.state.now == 5


def test_what_items_are_popular_with_stays_known_when_one_is_added(items):
    by = PopularityBy.of(0, np.array([0]), np.array([1]), np.array([3.0]), 1)
    items._state = replace(items.state, popularity_by={"country": by})
    items.put("c", "C", vector(0.6, 0.8))
    assert len(items.state) == 3
    assert items.state.popularity_by == {"country": by}


def test_of_an_added_item_is_known_what_is_known_of_the_item_most_like_it(items):
    items.put("c", "C", vector(0, 1))
    month, trend, against = items.topics.columns[2]
    # b has weight 1, the mean over a, b and c 0.02; of the last week 1 for b, 0 for the others.
    assert month == pytest.approx((2 + 0.02 * 1) / 1.02)
    assert trend == pytest.approx(((1 + 0.02 / 3) / 1.02 + 0.1) / (month / 4 + 0.1))
    assert against == pytest.approx(-np.log1p(month))
    assert items.topics.neighbours.near[2].tolist() == [1]


def test_a_changed_item_keeps_its_place_and_what_is_known_of_it(items):
    items.put("a", "Other", vector(0, -1))
    assert len(items) == 2
    assert items.vectors.tolist() == [[0, -1], [0, 1]]
    assert items.title(0) == "Other"
    assert items.state.popularity.tolist() == [1, 2]


def test_an_item_that_is_gone_keeps_its_place_until_it_comes_back(items):
    items.remove("a")
    items.remove("never-there")
    assert "a" not in items
    assert items.gone.tolist() == [True, False]
    assert items.catalogue.index["a"] == 0
    items.put("a", "A", vector(1, 0))
    assert "a" in items
    assert items.gone.tolist() == [False, False]


def test_many_items_are_kept_apart_however_often_the_room_is_doubled(items):
    for nth in range(100):
        items.put(f"new-{nth}", str(nth), vector(np.cos(nth), np.sin(nth)))
        if nth % 7 == 0:
            items.remove(f"new-{nth}")
    angles = np.arange(100)
    assert items.vectors[2:] == pytest.approx(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    assert items.gone.tolist() == [False, False] + [nth % 7 == 0 for nth in range(100)]
    state = items.state
    assert [matrix.shape for matrix in state.neighbours] == [(102, 102)] * 3
    assert [matrix[[0, 50]].sum() for matrix in state.neighbours] == [3, 4, 5]
    assert np.isnan(state.behaviour[2:]).all()


def test_what_a_request_holds_does_not_change_in_length_under_it(items):
    state, vectors = items.state, items.vectors
    for nth in range(10):
        items.put(f"new-{nth}", "", vector(0, 0))
    assert (len(state), len(vectors), state.neighbours.users.shape) == (2, 2, (2, 2))
    assert state.neighbours.users.toarray().tolist() == [[0, 3], [0, 0]]


def test_the_arrays_are_copied_seldom(items, monkeypatch):
    copies = []
    grown = live_items._grown
    monkeypatch.setattr(live_items, "_grown", lambda *of: copies.append(of) or grown(*of))
    for nth in range(1000):
        items.put(f"new-{nth}", "", vector(0, 0))
    # Room for 2, 4, 8, … 1024 items: nine growths of eleven arrays.
    assert len(copies) == 9 * 11


def test_an_item_is_of_the_category_that_it_was_put_with():
    table = pl.DataFrame({"item_id": ["a", "b"], "title": ["A", "B"], "category": ["cup", "dish"]})
    catalogue, vectors = Catalogue.load(table), np.eye(2, dtype=np.float32)
    nobody = no_neighbours(2)
    behaviour = np.zeros((2, 2))
    state = ItemState(5.0, ("users_28d", "users_7d"), behaviour, nobody, catalogue.categories_at(None))
    items = LiveItems(catalogue, state, vectors, Topics.of(TextNeighbours.of(vectors), state))
    items.put("c", "C", vector(1, 0), {"category": "dish"})
    items.put("d", "D", vector(1, 0), {"category": "never seen"})
    items.put("a", "A", vector(1, 0))
    assert items.state.categories.tolist() == [-1, 1, 1, -1]


def test_an_item_has_the_attributes_that_it_was_put_with():
    table = pl.DataFrame({"item_id": ["a", "b"], "title": ["A", "B"], "price": [2.0, 3.0]})
    catalogue, vectors = Catalogue.load(table).with_attributes({"price": "numeric"}), np.eye(2, dtype=np.float32)
    nobody = no_neighbours(2)
    attributes = catalogue.attributes_at(None)
    state = ItemState(5.0, ("users_28d", "users_7d"), np.zeros((2, 2)), nobody, None, attributes)
    items = LiveItems(catalogue, state, vectors, Topics.of(TextNeighbours.of(vectors), state))
    items.put("c", "C", vector(1, 0), {"price": 7})
    items.put("a", "A", vector(1, 0), {"price": 5.5})
    items.put("d", "D", vector(1, 0))
    np.testing.assert_array_equal(items.state.attributes[:, 0], [5.5, 3, 7, np.nan])
    # Those of the bundle stay as they were.
    assert attributes.tolist() == [[2], [3]]
