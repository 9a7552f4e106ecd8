import math

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from features.cooccurrence import DAMPING, HALF_LIFE_DAYS, cooccurrence
from recsys.catalogue import Catalogue
from tests.features.log import catalogue_of, day, log

AS_OF = day(400)


def strengths(interactions: pl.DataFrame, items: str, *, damping: float = 0.0, half_life_days: float = math.inf):
    """Dense, without damping or decay unless told otherwise."""
    return cooccurrence(
        interactions, catalogue_of(items), AS_OF, damping=damping, half_life_days=half_life_days
    ).toarray()


def test_each_user_binds_pairs_of_items_by_one_over_the_size_of_the_history():
    # ann has two items: 1/2 for her pair. bob has four: 1/4 for each of his.
    interactions = log(("ann", "a", 1), ("ann", "b", 2), *(("bob", item, 3) for item in "bcde"))
    found = strengths(interactions, "abcdef")
    assert found[0].tolist() == [0, 0.5, 0, 0, 0, 0]
    assert found[1].tolist() == [0.5, 0, 0.25, 0.25, 0.25, 0]
    assert found[2].tolist() == [0, 0.25, 0, 0.25, 0.25, 0]
    assert found[5].tolist() == [0] * 6


def test_users_add_up_and_items_at_different_times_go_together():
    interactions = log(("ann", "a", 1), ("ann", "b", 200), ("bob", "b", 1), ("bob", "a", 1))
    assert strengths(interactions, "ab").tolist() == [[0, 1], [1, 0]]


def test_an_item_chosen_often_by_one_user_counts_once():
    interactions = log(("ann", "a", 1), ("ann", "a", 2), ("ann", "b", 3))
    assert strengths(interactions, "ab")[0, 1] == 0.5


def test_an_item_counts_by_the_weight_of_the_strongest_interaction_with_it():
    # a: 0.2, then 3; b: 0.2. By a history of two: 3 · 0.2 / 2.
    interactions = log(("ann", "a", 1), ("ann", "a", 2), ("ann", "b", 3))
    interactions = interactions.with_columns(weight=pl.Series([0.2, 3.0, 0.2], dtype=pl.Float32))
    assert strengths(interactions, "ab")[0, 1] == pytest.approx(3 * 0.2 / 2)


def test_a_pair_is_divided_by_the_damped_popularity_of_both():
    # a has 1 user, b has 4: (1 · 4) ** 0.5 = 2.
    interactions = log(("ann", "a", 1), ("ann", "b", 1), ("bob", "b", 1), ("cat", "b", 1), ("dan", "b", 1))
    found = strengths(interactions, "ab", damping=0.5)
    assert found[0, 1] == found[1, 0] == pytest.approx(0.5 / 2)


def test_interest_halves_with_every_half_life_since_the_last_interaction():
    # 10 and 20 days ago, of which the one 30 days ago is not the last: 0.5 · 0.25, by a history of two.
    interactions = log(("ann", "a", 370), ("ann", "a", 390), ("ann", "b", 380))
    assert strengths(interactions, "ab", half_life_days=10)[0, 1] == pytest.approx(0.5 * 0.25 / 2)


def test_popularity_that_has_decayed_below_one_user_does_not_strengthen_a_pair():
    interactions = log(("ann", "a", 390), ("ann", "b", 390))
    assert strengths(interactions, "ab", damping=1, half_life_days=10)[0, 1] == pytest.approx(0.5 * 0.5 / 2)


def test_items_that_the_catalogue_does_not_have_count_nowhere():
    with_unknown = log(("ann", "a", 1), ("ann", "b", 1), ("ann", "?", 1), ("bob", "?", 1))
    assert strengths(with_unknown, "ab").tolist() == [[0, 0.5], [0.5, 0]]


def test_only_the_strongest_neighbours_are_kept(monkeypatch):
    monkeypatch.setattr("features.cooccurrence.NEIGHBOURS", 2)
    # b goes with d most, then with c; a only with b.
    interactions = log(
        *((user, item, 1) for user in ("ann", "bob", "cat") for item in "bd"),
        *((user, item, 1) for user in ("dan", "eve") for item in "bc"),
        *(("fay", item, 1) for item in "ab"),
    )
    found = strengths(interactions, "abcd")
    assert found[1].tolist() == [0, 0, 1, 1.5]
    assert found[0].tolist() == [0, 0.5, 0, 0]


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_how_many_rows_are_computed_at_once_changes_nothing(monkeypatch, rows):
    interactions = log(*((user, item, 1) for user, items in (("ann", "abc"), ("bob", "bcde")) for item in items))
    whole = strengths(interactions, "abcde", damping=0.35)
    monkeypatch.setattr("features.cooccurrence.ROWS_AT_ONCE", rows)
    assert strengths(interactions, "abcde", damping=0.35).tolist() == whole.tolist()


def test_without_interactions_there_are_no_neighbours():
    found = cooccurrence(log(), catalogue_of("abc"), AS_OF)
    assert (found.shape, found.dtype, found.nnz) == ((3, 3), np.float32, 0)


def test_the_matrix_is_the_formula_word_by_word():
    random = np.random.default_rng(0)
    items = "abcdefgh"
    rows = [(f"user-{random.integers(6)}", random.choice(list(items)), int(random.integers(400))) for _ in range(40)]
    found = cooccurrence(log(*rows), catalogue_of(items), AS_OF)

    users = sorted({user for user, _, _ in rows})
    interest = np.zeros((len(users), len(items)))
    for user, item, at in rows:
        at_place = users.index(user), items.index(item)
        interest[at_place] = max(interest[at_place], 0.5 ** ((400 - at) / HALF_LIFE_DAYS))
    by_size = interest / (interest > 0).sum(axis=1, keepdims=True)
    popularity = np.maximum(interest.sum(axis=0), 1)
    expected = interest.T @ by_size / np.outer(popularity, popularity) ** DAMPING
    np.fill_diagonal(expected, 0)

    assert isinstance(found, sp.csr_array)
    assert found.dtype == np.float32
    assert found.toarray() == pytest.approx(expected, rel=1e-5)


def test_rows_and_columns_are_positions_in_the_catalogue():
    catalogue = Catalogue.load(pl.DataFrame({"item_id": ["z", "m", "a"], "title": ["z", "m", "a"]}))
    found = cooccurrence(log(("ann", "z", 1), ("ann", "m", 1)), catalogue, AS_OF, half_life_days=math.inf)
    assert sorted(zip(*(places.tolist() for places in found.nonzero()), strict=True)) == [(1, 2), (2, 1)]
