from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.featureset import FeatureSet
from features.store import BehaviourStore
from features.user_attributes import user_attributes
from recsys.catalogue import Catalogue
from recsys.errors import ConfigError
from tests.features.assembled import assemble
from tests.features.log import WEIGHTS, catalogue_of, day, log, seconds

KINDS = {"age": "numeric", "country": "categorical", "member_since": "timestamp"}
FEATURES = FeatureSet.of(["purchase", "view"], None, KINDS)
AS_OF = day(20)
USERS = pl.DataFrame(
    {
        "user_id": ["ann", "bob", "new"],
        "age": [31, None, 64],
        "country": ["NO", "FR", None],
        "member_since": [day(10), None, day(19)],
    }
)
INTERACTIONS = log(("ann", "a", 1), ("bob", "b", 2), ("cat", "a", 3))
CATALOGUE = catalogue_of("ab").with_users(KINDS, USERS)
NAMES = ("user_age", "user_country", "user_member_since_days")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> BehaviourStore:
    store = BehaviourStore(tmp_path_factory.mktemp("store"), FEATURES, WEIGHTS)
    store.snapshot(INTERACTIONS, CATALOGUE, [AS_OF], users=USERS)
    store.materialise(AS_OF)
    return store


def values(store: BehaviourStore, user: str, catalogue: Catalogue = CATALOGUE) -> list[float]:
    """The attributes of a user, which are the same of both stores."""
    (offline,) = store.users_at([user], catalogue, AS_OF)
    items = store.items_at(catalogue, AS_OF), store.online_items(catalogue)
    users = offline, store.online_user(user, catalogue)
    one, other = (assemble(FEATURES, *state, np.arange(2), None) for state in zip(users, items, strict=True))
    assert one.tobytes() == other.tobytes()
    return one[1, [FEATURES.behaviour.index(name) for name in NAMES]].tolist()


def test_names_are_kept_as_text_and_moments_as_seconds():
    rows = user_attributes(USERS, AS_OF, FEATURES).drop("event_timestamp").rows()
    assert rows == [("ann", 31, "NO", seconds(10)), ("bob", None, "FR", None), ("new", 64, None, seconds(19))]


def test_a_name_is_its_place_among_all_names_and_a_moment_an_age(store):
    assert values(store, "ann") == [31, 1, 10]
    assert values(store, "bob") == pytest.approx([np.nan, 0, np.nan], nan_ok=True)


def test_a_user_who_never_did_anything_has_attributes_and_one_of_whom_the_table_does_not_know_has_none(store):
    assert values(store, "new") == pytest.approx([64, np.nan, 1], nan_ok=True)
    assert np.isnan(values(store, "cat")).all()
    assert np.isnan(values(store, "nobody")).all()


def test_a_name_keeps_its_number_when_the_store_is_filled_with_others(store):
    # Those of a bundle that was trained before Norway, and before anybody came from Denmark.
    earlier = CATALOGUE.with_users(KINDS, USERS.with_columns(country=pl.Series(["DK", "SE", "FR"])))
    assert values(store, "bob", earlier)[1] == 1
    assert np.isnan(values(store, "ann", earlier)[1])


def test_without_a_table_the_columns_are_there_and_nothing_is_known(tmp_path: Path):
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    store.snapshot(INTERACTIONS, CATALOGUE, [AS_OF])
    store.materialise(AS_OF)
    assert np.isnan(values(store, "ann")).all()


def test_a_project_without_attributes_has_neither_columns_nor_a_view(tmp_path: Path):
    features = FeatureSet.of(["purchase", "view"])
    store = BehaviourStore(tmp_path, features, WEIGHTS)
    store.snapshot(INTERACTIONS, catalogue_of("ab"), [AS_OF], users=USERS)
    assert "user_attributes" not in {view.name for view in store.feast.list_feature_views()}
    assert not (tmp_path / "user_attributes").exists()
    assert store.users_at(["ann"], catalogue_of("ab"), AS_OF)[0].attributes is None
    assert set(FEATURES.behaviour) - set(features.behaviour) == set(NAMES)


def test_a_project_that_names_no_attributes_any_more_has_no_view_of_them(tmp_path: Path):
    for features in (FEATURES, FeatureSet.of(["purchase", "view"])):
        store = BehaviourStore(tmp_path, features, WEIGHTS)
        store.forget_other_data(INTERACTIONS, CATALOGUE, users=USERS)
        store.snapshot(INTERACTIONS, CATALOGUE, [AS_OF], users=USERS)
        store.materialise(AS_OF)
    assert "user_attributes" not in {view.name for view in store.feast.list_feature_views()}
    assert store.online_user("ann", catalogue_of("ab")).attributes is None


@pytest.mark.parametrize("attributes", [{"occasions": "numeric"}, {"a b": "numeric", "a-b": "numeric"}])
def test_attributes_that_make_columns_of_one_name_are_refused(attributes):
    with pytest.raises(ConfigError, match=r"user_attributes .*several columns of the name .*; rename one of them"):
        FeatureSet.of(["view"], None, attributes)
