import polars as pl
import pytest

from features.daily import keys
from features.daily.keys import ids_by_key, sums_by_key
from recsys.errors import FeatureStoreError
from tests.features.daily.cases import aggregates_in, assert_views, events, views_of
from tests.features.log import day


@pytest.mark.parametrize("length", [1, 2])
def test_a_key_has_its_id_and_the_sums_of_its_rows(length):
    rows = pl.DataFrame(
        {"user_key": [1, 2, 1][:length], "user_id": ["ann", "bob", "ann"][:length], "n": [5, 6, 7][:length]}
    )
    found = sums_by_key(rows, "user_id").sort("user_key")
    assert found.rows() == [(1, "ann", 5), (2, "bob", 6)][:length]


def test_a_key_of_two_ids_is_refused():
    rows = pl.DataFrame({"item_key": [1, 2, 1], "item_id": ["tea", "cup", "jam"]})
    with pytest.raises(FeatureStoreError, match=r"item_id '(tea|jam)': another item_id has the same hash"):
        ids_by_key(rows, "item_id")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        # The hash is that of the first letter alone.
        ([("ann", "tea", 1), ("ada", "cup", 1)], "user_id '(ann|ada)': another user_id"),
        ([("ann", "tea", 1), ("ada", "cup", 2)], "user_id '(ann|ada)': another user_id"),
        ([("ann", "tea", 1), ("bob", "tin", 1)], "item_id '(tea|tin)': another item_id"),
        ([("ann", "tea", 1), ("bob", "tin", 2)], "item_id '(tea|tin)': another item_id"),
        ([("ann", "tea", 1), ("bob", "tin", 2.5)], "item_id '(tea|tin)': another item_id"),
    ],
)
def test_two_ids_with_one_hash_are_never_taken_for_one(tmp_path, monkeypatch, rows, message):
    monkeypatch.setattr("features.daily.events.key", lambda name: pl.col(name).str.head(1).hash())
    with pytest.raises(FeatureStoreError, match=message):
        views_of(aggregates_in(tmp_path, events(*rows)), day(2.9), tmp_path / "out")


def test_an_item_and_a_user_may_have_one_id(tmp_path):
    aggregates = aggregates_in(tmp_path, events(("tea", "tea", 1), ("cup", "cup", 1), ("cup", "cup", 2)))
    assert_views(views_of(aggregates, day(3), tmp_path / "out"), aggregates.log, day(3))


def test_another_hashing_has_everything_computed_anew(tmp_path, monkeypatch):
    aggregates = aggregates_in(tmp_path, events(("ann", "tea", 1)))
    assert aggregates.update(day(3)) == 1
    monkeypatch.setattr("features.daily.aggregates.hashing", lambda: "another")
    assert aggregates.update(day(3)) == 1
    assert keys.hashing() == keys.hashing()
