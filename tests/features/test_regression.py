import numpy as np
import pytest

from features.regression import HALF_LIFE_DAYS, PENALTY, regression
from tests.features.log import catalogue_of, day, log

AS_OF = day(400)
ITEMS = "abcdefgh"


def random_log() -> list[tuple[str, str, int]]:
    random = np.random.default_rng(0)
    rows = [(f"user-{random.integers(30)}", random.choice(list(ITEMS)), int(random.integers(400))) for _ in range(200)]
    return sorted(rows, key=lambda row: row[2])


def interest_of(rows: list[tuple[str, str, int]]) -> np.ndarray:
    users = sorted({user for user, _, _ in rows})
    interest = np.zeros((len(users), len(ITEMS)))
    for user, item, at in rows:
        place = users.index(user), ITEMS.index(item)
        interest[place] = max(interest[place], 0.5 ** ((400 - at) / HALF_LIFE_DAYS))
    return interest


def test_each_column_is_the_ridge_regression_of_its_item_on_all_others():
    rows = random_log()
    found = regression(log(*rows), catalogue_of(ITEMS), AS_OF).toarray()
    interest = interest_of(rows)
    for item in range(len(ITEMS)):
        others = np.delete(interest, item, axis=1)
        gram = others.T @ others + PENALTY * np.eye(len(ITEMS) - 1)
        expected = np.linalg.solve(gram, others.T @ interest[:, item])
        assert found[item, item] == 0
        assert np.delete(found[:, item], item) == pytest.approx(expected, rel=1e-4)


def test_the_order_of_the_log_changes_no_bit():
    interactions = log(*random_log())
    found = regression(interactions, catalogue_of(ITEMS), AS_OF)
    shuffled = regression(interactions.sample(fraction=1, shuffle=True, seed=1), catalogue_of(ITEMS), AS_OF)
    assert found.toarray().tobytes() == shuffled.toarray().tobytes()


def test_only_the_items_chosen_most_take_part(monkeypatch):
    monkeypatch.setattr("features.regression.MAX_ITEMS", 2)
    rows = [(f"user-{user}", item, 399) for item, users in (("c", 3), ("a", 9), ("b", 5)) for user in range(users)]
    found = regression(log(*rows), catalogue_of("abc"), AS_OF).toarray()
    assert np.argwhere(found).tolist() == [[0, 1], [1, 0]]


def test_the_largest_weights_are_kept_whatever_their_sign(monkeypatch):
    monkeypatch.setattr("features.regression.PENALTY", 1.0)
    whole = regression(log(*random_log()), catalogue_of(ITEMS), AS_OF).toarray()
    monkeypatch.setattr("features.regression.WEIGHTS_KEPT", 3)
    found = regression(log(*random_log()), catalogue_of(ITEMS), AS_OF).toarray()
    for row, all_of_row in zip(found, whole, strict=True):
        kept = np.argsort(-np.abs(all_of_row))[:3]
        assert sorted(np.flatnonzero(row)) == sorted(kept)
        assert row[kept].tolist() == all_of_row[kept].tolist()
    assert (found < 0).any()
    assert (found > 0).any()


def test_without_interactions_nothing_says_anything_of_anything():
    found = regression(log(), catalogue_of("abc"), AS_OF)
    assert (found.shape, found.dtype, found.nnz) == ((3, 3), np.float32, 0)


def test_items_that_the_catalogue_does_not_have_count_nowhere():
    rows = [("ann", "a", 1), ("ann", "b", 1), ("bob", "b", 1)]
    with_unknown = regression(log(*rows, ("ann", "?", 1)), catalogue_of("ab"), AS_OF)
    assert with_unknown.toarray().tolist() == regression(log(*rows), catalogue_of("ab"), AS_OF).toarray().tolist()
