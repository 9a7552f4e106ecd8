from datetime import UTC, datetime

import polars as pl
import pytest

from recsys.catalogue import Catalogue
from recsys.errors import DataError
from recsys.importing import import_tables
from tests.recsys.project import NOON, interactions, project


def day(number: int) -> datetime:
    return datetime(2024, 5, number, tzinfo=UTC)


ITEMS = pl.DataFrame(
    {
        "item_id": ["b", "a", "b", "c", "b"],
        "title": ["second", "only", "first", "always", "third"],
        "updated_at": [day(2), day(9), day(1), None, day(3)],
    }
)


@pytest.mark.parametrize(
    ("as_of", "title"),
    [
        (day(1), "first"),
        (datetime(2024, 5, 3), "second"),
        (day(2), "first"),
        (day(3), "second"),
        (day(4), "third"),
        (None, "third"),
    ],
)
def test_an_item_is_shown_in_its_last_version_before_the_moment_else_in_its_first(as_of, title):
    catalogue = Catalogue.load(ITEMS, as_of)
    assert catalogue.item_ids == ["a", "b", "c"]
    assert catalogue.index == {"a": 0, "b": 1, "c": 2}
    assert catalogue.table.get_column("title").to_list() == ["only", title, "always"]


def test_an_earlier_catalogue_shows_what_was_known_then():
    catalogue = Catalogue.load(ITEMS, day(3))
    assert catalogue.at(day(2)).table.get_column("title").to_list() == ["only", "first", "always"]
    assert catalogue.at(day(2)).index == catalogue.index
    # It never knew the third.
    assert catalogue.at(day(9)).table.get_column("title").to_list() == ["only", "second", "always"]


@pytest.mark.parametrize(("as_of", "seen"), [(day(1), None), (day(2), None), (day(3), day(2)), (None, day(3))])
def test_a_catalogue_has_seen_what_took_the_place_of_an_earlier_version(as_of, seen):
    assert Catalogue.load(ITEMS, as_of).seen_until == seen


def test_a_catalogue_without_versions_has_seen_nothing():
    assert Catalogue.load(ITEMS.drop("updated_at")).seen_until is None


def test_items_without_versions_are_sorted_by_id():
    catalogue = Catalogue.load(pl.DataFrame({"item_id": ["é", "b", "B"], "title": ["1", "2", "3"]}), day(1))
    assert catalogue.item_ids == sorted(["é", "b", "B"])
    assert len(catalogue) == 3


def test_the_catalogue_of_a_project_is_its_imported_items(tmp_path):
    workspace = project(tmp_path, interactions=interactions(f"u,a,view,{NOON}"))
    with pytest.raises(DataError, match="the table is missing"):
        Catalogue.load(workspace)
    import_tables(workspace)
    assert Catalogue.load(workspace).item_ids == ["a"]


def test_categories_have_a_place_by_name_and_items_are_of_the_one_that_they_had_then():
    rows = {"item_id": ["b", "a", "a", "c"], "title": [""] * 4, "category": ["dish", "drink", "cup", None]}
    table = pl.DataFrame(rows).with_columns(updated_at=pl.Series([day(1), day(1), day(3), day(1)]))
    catalogue = Catalogue.load(table, day(9))
    assert catalogue.category_index == {"cup": 0, "dish": 1, "drink": 2}
    assert catalogue.category_of == {"a": "cup", "b": "dish"}
    assert catalogue.categories_at(None).tolist() == [0, 1, -1]
    assert catalogue.categories_at(day(3)).tolist() == [2, 1, -1]


def test_items_without_a_column_of_categories_are_of_none():
    catalogue = Catalogue.load(ITEMS)
    assert (catalogue.category_index, catalogue.category_of) == ({}, {})
    assert catalogue.categories_at(day(1)).tolist() == [-1] * len(catalogue)


def test_attributes_are_those_of_then_in_the_numbers_of_the_catalogue_that_it_came_from():
    rows = {"item_id": ["b", "a", "a"], "title": [""] * 3, "colour": ["red", "red", "blue"]}
    table = pl.DataFrame(rows).with_columns(updated_at=pl.Series([day(1), day(1), day(3)]))
    catalogue = Catalogue.load(table, day(9)).with_attributes({"colour": "categorical"})
    assert catalogue.attributes_at(None).tolist() == [[0], [1]]
    assert catalogue.attributes_at(day(2)).tolist() == [[1], [1]]
    assert catalogue.at(day(2)).attributes_at(None).tolist() == [[1], [1]]
    assert Catalogue.load(table).attributes_at(None) is None
