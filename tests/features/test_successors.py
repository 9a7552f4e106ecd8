import numpy as np
import pytest

from features.regression import HALF_LIFE_DAYS
from features.successors import PENALTY, WINDOW_DAYS, WINDOW_DECAYS, WINDOWS, successors
from tests.features.log import catalogue_of, day, log

NOW = 400
AS_OF = day(NOW)
ITEMS = "abcdefgh"


def random_log() -> list[tuple[str, str, int]]:
    random = np.random.default_rng(0)
    rows = [(f"user-{random.integers(12)}", random.choice(list(ITEMS)), int(random.integers(NOW))) for _ in range(400)]
    return sorted(rows, key=lambda row: row[2])


def test_what_was_chosen_in_each_window_is_regressed_on_what_was_had_before_it_and_what_is_left_once_more():
    weights = np.zeros((len(ITEMS), len(ITEMS)))
    for decay in WINDOW_DECAYS:
        weights += regressed(random_log(), decay, weights)
    found = successors(log(*random_log()), catalogue_of(ITEMS), AS_OF).toarray()
    assert found == pytest.approx(weights, rel=1e-4, abs=1e-9)


def regressed(rows, decay, weights):
    """A window at a time, and in it a user at a time."""
    gram, cross = PENALTY * np.eye(len(ITEMS)), np.zeros((len(ITEMS), len(ITEMS)))
    for back in range(WINDOWS):
        start = NOW - WINDOW_DAYS * (back + 1)
        for user in {user for user, _, _ in rows}:
            had, chosen = np.zeros(len(ITEMS)), np.zeros(len(ITEMS))
            for item, at in ((ITEMS.index(item), at) for who, item, at in rows if who == user):
                if at < start:
                    had[item] = max(had[item], 0.5 ** ((start - at) / HALF_LIFE_DAYS))
                elif at < start + WINDOW_DAYS:
                    chosen[item] = 1
            if had.any() and chosen.any():
                counts = decay**back / np.sqrt(np.count_nonzero(had))
                gram += counts * np.outer(had, had)
                cross += counts * np.outer(had, chosen - had @ weights)
    return np.linalg.solve(gram, cross)


def test_what_follows_lately_counts_more_than_what_did_long_ago():
    def foretold(old: int, new: int) -> np.ndarray:
        rows = [(f"old-{user}", item, at) for user in range(old) for item, at in (("a", 200), ("b", 260))]
        rows += [(f"new-{user}", item, at) for user in range(new) for item, at in (("a", 300), ("c", 395))]
        return successors(log(*rows), catalogue_of("abc"), AS_OF).toarray()[0]

    _, long_ago, lately = foretold(9, 9)
    assert lately > 2 * long_ago > 0


def test_an_item_that_follows_another_is_foretold_by_it_and_not_the_other_way_round():
    rows = [(f"user-{user}", item, at) for user in range(9) for item, at in (("a", 380), ("b", 390))]
    found = successors(log(*rows), catalogue_of("ab"), AS_OF).toarray()
    assert found[0, 1] > 0
    assert found[1, 0] == found[0, 0] == found[1, 1] == 0


def test_an_item_that_comes_back_foretells_itself():
    rows = [(f"user-{user}", "a", at) for user in range(9) for at in (380, 390)]
    assert successors(log(*rows), catalogue_of("a"), AS_OF).toarray()[0, 0] > 0


def test_what_is_too_new_to_be_in_a_history_can_be_foretold():
    rows = [(f"user-{user}", item, at) for user in range(9) for item, at in (("a", 300), ("new", 395))]
    assert successors(log(*rows), catalogue_of(["a", "new"]), AS_OF).toarray()[0, 1] > 0


def test_the_order_of_the_log_changes_no_bit():
    interactions = log(*random_log())
    found = successors(interactions, catalogue_of(ITEMS), AS_OF)
    shuffled = successors(interactions.sample(fraction=1, shuffle=True, seed=1), catalogue_of(ITEMS), AS_OF)
    assert found.toarray().tobytes() == shuffled.toarray().tobytes()


@pytest.mark.parametrize("rows", [[], [("ann", "a", 399), ("bob", "b", 10)], [("ann", "?", 1), ("ann", "?", 399)]])
def test_where_nobody_came_back_nothing_foretells_anything(rows):
    found = successors(log(*rows), catalogue_of("ab"), AS_OF)
    assert (found.shape, found.dtype, found.nnz) == ((2, 2), np.float32, 0)
