import numpy as np

from recsys.rules.listing import FREE, NO_CATEGORY, Listing, number_within


def test_each_is_numbered_within_its_group():
    assert number_within(np.array([5, 2, 5, 5, 2])).tolist() == [0, 0, 1, 2, 1]
    assert number_within(np.empty(0, dtype=np.int64)).tolist() == []


def test_free_places_go_to_the_most_relevant_of_the_categories_that_are_not_full():
    listing = Listing(np.array([7, 7, 7, 8, NO_CATEGORY, NO_CATEGORY]), 5, 1)
    listing.put(1, 2)
    listing.fill()
    # Category 7 has its one item; those without a category are not counted.
    assert listing.rows.tolist() == [3, 4, 1, 5, FREE]


def test_the_first_free_place_is_looked_for_from_a_place_on():
    listing = Listing(np.zeros(4, dtype=np.int64), 3, None)
    listing.put(0, 1)
    assert [listing.first_free(place) for place in (0, 1, 2, 3)] == [0, 2, 2, None]
