import tracemalloc

import numpy as np

from serving.last_interest import OWN_PAGES_FROM, LastInterest


def signals(*rows: float) -> np.ndarray:
    return np.array([[row] for row in rows], dtype=np.float32)


def at(*positions: int) -> np.ndarray:
    return np.array(positions, dtype=np.int64)


def test_the_interest_in_candidates_is_known_in_whatever_order_they_come():
    last = LastInterest()
    last.put("u", at(5, 2, 9), signals(0.5, 0.2, 0.9))
    found, age = last.of("u", at(9, 5), 20)
    assert found.ravel().tolist() == signals(0.9, 0.5).ravel().tolist()
    assert 0 <= age < 5


def test_where_the_interest_in_one_candidate_is_not_known_nothing_is():
    last = LastInterest()
    last.put("u", at(5, 2), signals(0.5, 0.2))
    assert last.of("u", at(5, 3), 20) is None
    assert last.of("u", at(5, 9), 20) is None
    assert last.of("someone else", at(5), 20) is None
    assert last.of("u", None, 20) is None


def test_the_whole_catalogue_answers_for_candidates_too_and_of_items_added_since_nothing_is_known():
    last = LastInterest()
    last.put("u", None, signals(0.0, 0.1, 0.2))
    assert last.of("u", at(2, 1), 4)[0].ravel().tolist() == signals(0.2, 0.1).ravel().tolist()
    assert last.of("u", at(2, 3), 4) is None
    whole = last.of("u", None, 4)[0].ravel()
    assert whole[:3].tolist() == signals(0.0, 0.1, 0.2).ravel().tolist()
    assert np.isnan(whole[3])


def test_of_two_that_know_the_candidates_the_newer_one_counts():
    last = LastInterest()
    last.put("u", None, signals(0.0, 0.1, 0.2))
    last.put("u", at(1), signals(0.7))
    assert last.of("u", at(1), 3)[0].tolist() == signals(0.7).tolist()
    assert last.of("u", at(1, 2), 3)[0].tolist() == signals(0.1, 0.2).tolist()


def test_users_that_asked_longest_ago_are_forgotten_when_there_is_no_room():
    # An entry of two candidates: 2 × 8 bytes for the places, 2 × 4 for the signals.
    last = LastInterest(most_bytes=3 * 24)
    for user in "abcd":
        last.put(user, at(0, 1), signals(0.0, 1.0))
    last.put("b", at(0, 1), signals(0.5, 0.5))
    last.put("e", at(0, 1), signals(0.0, 1.0))
    assert [user for user in "abcde" if last.of(user, at(0), 2)] == ["b", "d", "e"]


def test_interest_in_a_large_catalogue_is_a_copy_outside_the_heap():
    last, given = LastInterest(), np.zeros((OWN_PAGES_FROM, 1), dtype=np.float32)
    tracemalloc.start()
    try:
        last.put("u", None, given)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < given.nbytes / 4  # NumPy reports what it takes of the heap
    given[:] = 7.0
    found, _ = last.of("u", None, len(given))
    assert not found.any()
