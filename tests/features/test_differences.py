import numpy as np
import polars as pl
import pytest

from features.differences import Difference, catalogue_differences, row_differences
from features.recommender import Prepared
from recsys.catalogue import Catalogue
from recsys.retrieval import CandidateSet
from tests.training.project import catalogue_of

NAMES, IDS = ("users", "price"), ("a", "b", "c", "d")


def prepared(rows: dict[int, tuple[float, float]]) -> Prepared:
    """Candidates by position, with two features each."""
    brought = np.ones((len(rows), 1), dtype=np.bool_)
    candidates = CandidateSet(np.array(list(rows), dtype=np.int64), brought, ("popular",))
    return Prepared(candidates, np.array(list(rows.values()), dtype=np.float32).reshape(-1, 2))


def differences(found: dict[int, tuple[float, float]], expected: dict[int, tuple[float, float]]) -> list[Difference]:
    return list(row_differences(7, prepared(found), prepared(expected), NAMES, IDS))


def test_equal_rows_have_no_difference_and_what_is_not_known_equals_itself():
    rows = {2: (1.0, np.nan), 0: (3.0, 0.5)}
    assert differences(rows, rows) == []


def test_a_feature_that_differs_is_named_with_the_first_item_and_both_values():
    found = differences({2: (1.0, 2.0), 0: (3.0, np.nan)}, {2: (1.0, 2.0), 0: (4.0, 0.5)})
    assert found[0] == Difference("users", 7, "a", 3.0, 4.0)
    assert (found[1].what, found[1].item_id, found[1].expected) == ("price", "a", 0.5)
    assert str(found[0]) == "users, row 7, item a: found 3.0, expected 4.0"


def test_the_smallest_difference_of_float32_counts():
    found = differences({0: (1.0, 0.0)}, {0: (float(np.nextafter(np.float32(1), np.float32(2))), 0.0)})
    assert [difference.what for difference in found] == ["users"]


@pytest.mark.parametrize(
    ("found", "expected", "items"),
    [
        ([2, 0, 3], [2, 3, 0], ("a", "d")),
        ([2, 0], [2], ("a", None)),
        ([], [1], (None, "b")),
    ],
)
def test_other_candidates_are_told_by_the_first_place_that_differs(found, expected, items):
    told = differences(*(dict.fromkeys(rows, (0.0, 0.0)) for rows in (found, expected)))
    assert told == [Difference("candidates", 7, None, *items)]


def test_features_of_other_candidates_are_compared_where_both_have_the_item():
    told = differences({0: (1.0, 0.0), 1: (5.0, 0.0)}, {2: (9.0, 0.0), 1: (6.0, 0.0)})
    assert told == [Difference("candidates", 7, None, "a", "c"), Difference("users", 7, "b", 5.0, 6.0)]


def test_a_value_of_the_catalogue_that_differs_is_told_with_its_item():
    found, expected = (catalogue_of("a", "b", titles=["cup", title]) for title in ("mug", "jug"))
    assert list(catalogue_differences(found, found)) == []
    assert list(catalogue_differences(found, expected)) == [
        Difference("title of the catalogue", None, "b", "mug", "jug")
    ]


def test_a_missing_value_of_the_catalogue_differs_from_one_that_is_there():
    tables = [
        pl.DataFrame({"item_id": ["a"], "price": [price]}, schema_overrides={"price": pl.Float64})
        for price in (None, 2)
    ]
    told = list(catalogue_differences(*map(Catalogue.load, tables)))
    assert told == [Difference("price of the catalogue", None, "a", None, "2.0")]


def test_a_catalogue_of_other_items_is_told_as_such():
    told = list(catalogue_differences(catalogue_of("a", "b"), catalogue_of("a", "c", "d")))
    assert told == [Difference("items of the catalogue", None, None, "2 items", "3 others")]
