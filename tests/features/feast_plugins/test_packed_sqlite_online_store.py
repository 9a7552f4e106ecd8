import asyncio
import sqlite3
import time

import pytest

from features.feast_plugins.packed_online_store import OnlineStoreSchemaError, OnlineStoreUnavailableError
from tests.features.feast_plugins.conftest import SQLITE
from tests.features.feast_plugins.project import ITEM, NOON, item_values, key, open_store, price_of, view, write


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "shop", {"type": SQLITE, "path": "data/online.db", "timeout_ms": 100})
    store.apply([ITEM, view()])
    write(store, key(item_id="a"), item_values())
    return store


def test_reads_go_on_while_another_process_writes_and_a_write_waits_no_longer_than_timeout_ms(store):
    other = sqlite3.connect(store.config.repo_path / "data/online.db", isolation_level=None)
    (table,) = [name for (name,) in other.execute("SELECT name FROM sqlite_master")]
    other.execute("BEGIN IMMEDIATE")
    other.execute(f'DELETE FROM "{table}"')
    assert price_of(store) == 1.5
    started = time.perf_counter()
    with pytest.raises(OnlineStoreUnavailableError, match=r"online\.db: cannot begin to write within 100 ms"):
        write(store, key(item_id="b"), item_values())
    assert time.perf_counter() - started < 1
    other.execute("ROLLBACK")
    other.close()
    write(store, key(item_id="b"), item_values(price=2))
    assert price_of(store, "b") == 2


def test_a_write_does_not_wait_for_who_reads(store):
    other = sqlite3.connect(store.config.repo_path / "data/online.db", isolation_level=None)
    (table,) = [name for (name,) in other.execute("SELECT name FROM sqlite_master")]
    other.execute("BEGIN")
    assert other.execute(f'SELECT count(*) FROM "{table}"').fetchone() == (1,)
    write(store, key(item_id="b"), item_values(price=2))
    assert price_of(store, "b") == 2
    assert other.execute(f'SELECT count(*) FROM "{table}"').fetchone() == (1,), "it sees what it saw"
    other.close()


def test_a_full_disk_keeps_nobody_from_reading_and_what_is_written_later_is_read(small_disk, fill):
    config = {"type": SQLITE, "path": str(small_disk / "online.db"), "timeout_ms": 100}
    store = open_store(small_disk / "shop", config)
    store.apply([ITEM, view()])
    write(store, key(item_id="a"), item_values())
    store._get_provider().online_store.disconnect()
    filler = fill()
    assert [price_of(store) for _ in range(2)] == [1.5, 1.5]
    filler.unlink()
    other = sqlite3.connect(small_disk / "online.db", isolation_level=None)
    write(store, key(item_id="a"), item_values(price=2))
    assert price_of(store) == 2
    other.close()


def test_a_batch_that_fails_leaves_nothing_behind(store):
    data = [(key(item_id=item), item_values(price=9), NOON, None) for item in ("a", "b")]
    data[1][1]["title"] = "not a Value"
    with pytest.raises(AttributeError):
        store._get_provider().online_write_batch(store.config, store.get_feature_view("items"), data, None)
    assert price_of(store, "a") == 1.5


def test_a_file_to_which_the_view_was_not_applied_is_an_error_not_nulls(store):
    provider = store._get_provider()
    table = view("never")
    with pytest.raises(OnlineStoreSchemaError, match=r"online\.db: no table for the view never .* run `feast apply`"):
        provider.online_read(store.config, table, [key(item_id="a")])


def test_more_entities_than_sqlite_takes_parameters_are_read(store):
    answer = store.get_online_features(["items:price"], {"item_id": [*(str(at) for at in range(40_000)), "a"]})
    assert answer.column("price")[-1] == 1.5
    assert answer.found("price").sum() == 1


def test_after_close_all_is_in_the_file_and_the_next_read_opens_it_again(store):
    asyncio.run(store._get_provider().online_store.close())
    assert [path.name for path in (store.config.repo_path / "data").iterdir()] == ["online.db"]
    assert price_of(store) == 1.5
