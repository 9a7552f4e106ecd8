from pathlib import Path

import polars as pl
import pytest

from features.featureset import FeatureSet
from features.popularity_by import popularity_by
from features.store import BehaviourStore
from recsys.catalogue import Catalogue
from recsys.state import ItemState
from tests.features.log import MICROSECOND, WEIGHTS, catalogue_of, day, log

KINDS = {"age": "numeric", "country": "categorical", "plan": "categorical"}
FEATURES = FeatureSet.of(WEIGHTS, None, KINDS)
AS_OF = day(40)
USERS = pl.DataFrame(
    {
        "user_id": ["ann", "bob", "cat", "dan"],
        "age": [1, 2, 3, 4],
        "country": ["NO", "NO", "FR", None],
        "plan": ["paid", "free", "paid", "paid"],
    }
)
INTERACTIONS = log(
    ("ann", "a", 20),
    ("ann", "a", 30),  # the same user again is one
    ("bob", "a", 12),  # 28 days before is in the window
    ("bob", "b", day(12) - MICROSECOND),
    ("cat", "b", 39),
    ("dan", "b", 39),
    ("ann", "b", 40),  # at the moment itself is too late
    ("eve", "b", 39),  # of whom the table does not know
)
CATALOGUE = catalogue_of("ab").with_users(KINDS, USERS)


def known_by(items: ItemState, catalogue: Catalogue = CATALOGUE) -> dict[str, dict[str, dict[str, float]]]:
    """By attribute and value: the users of each item, by its id."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, counts in items.popularity_by.items():
        for value, code in catalogue.of_users.codes[name].items():
            positions, users = counts.of_value(code)
            chosen = {catalogue.item_ids[item]: count for item, count in zip(positions, users, strict=True)}
            found.setdefault(name, {})[value] = chosen
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> BehaviourStore:
    store = BehaviourStore(tmp_path_factory.mktemp("store"), FEATURES, WEIGHTS)
    store.snapshot(INTERACTIONS, CATALOGUE, [AS_OF], users=USERS)
    store.materialise(AS_OF)
    return store


def test_users_of_the_last_28_days_are_counted_once_by_each_attribute():
    assert popularity_by(INTERACTIONS, USERS, AS_OF, FEATURES).rows() == [
        ("country", "FR", "b", 1),
        ("country", "NO", "a", 2),
        ("plan", "free", "a", 1),
        ("plan", "paid", "a", 1),
        ("plan", "paid", "b", 2),
    ]


def test_both_stores_give_the_counts_of_their_moment(store):
    expected = {
        "country": {"FR": {"b": 1}, "NO": {"a": 2}},
        "plan": {"free": {"a": 1}, "paid": {"a": 1, "b": 2}},
    }
    for items in (store.items_at(CATALOGUE, AS_OF), store.online_items(CATALOGUE)):
        assert known_by(items) == expected
        # Beside age, which is no category: the place among all attributes.
        assert {name: found.place for name, found in items.popularity_by.items()} == {"country": 1, "plan": 2}


def test_a_catalogue_with_other_items_and_names_gets_what_it_knows(store):
    other = Catalogue.load(pl.DataFrame({"item_id": ["0", "b"], "title": ["0", "b"]}))
    other = other.with_users(KINDS, USERS.with_columns(country=pl.Series(["FR", "DK", None, None])))
    assert known_by(store.online_items(other), other) == {
        "country": {"DK": {}, "FR": {"b": 1}},
        "plan": {"free": {}, "paid": {"b": 2}},
    }


def test_windows_that_began_with_an_earlier_snapshot_have_its_counts(store, tmp_path: Path):
    then = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    then.snapshot(INTERACTIONS, CATALOGUE, [day(41)], users=USERS, windows_from=AS_OF)
    assert known_by(then.items_at(CATALOGUE, day(41))) == known_by(store.items_at(CATALOGUE, AS_OF))


def test_without_attributes_or_a_table_nothing_is_known(tmp_path: Path, store):
    assert store.online_items(catalogue_of("ab")).popularity_by == {}
    without = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    without.snapshot(INTERACTIONS, CATALOGUE, [AS_OF])
    assert without.items_at(CATALOGUE, AS_OF).popularity_by == {}


def test_a_file_of_a_version_that_did_not_count_says_nothing(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("features.neighbours_file.to_arrays", lambda *_: {})
    old = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    old.snapshot(INTERACTIONS, CATALOGUE, [AS_OF], users=USERS)
    assert old.items_at(CATALOGUE, AS_OF).popularity_by == {}
