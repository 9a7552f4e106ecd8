"""Packed rows in Redis or Valkey: a string for each entity and view.

    online_store:
      type: features.feast_plugins.packed_redis_online_store.PackedRedisOnlineStore
      connection_string: redis://:password@localhost:6379/0

A key is PREFIX:PROJECT:VIEW:SCHEMA: and the serialised entity key.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from feast import RepoConfig
from feast.repo_config import FeastConfigBaseModel
from pydantic import ConfigDict, PositiveInt, SecretStr, StrictBool, StrictStr
from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from features.feast_plugins.packed_online_store import OnlineStoreUnavailableError, PackedOnlineStore, Wanted
from features.feast_plugins.packed_row import STAMP_BYTES, RowLayout

ROWS_AT_ONCE = 500
"""In one script: Redis does nothing else meanwhile, some milliseconds."""

WRITE = f"""
local function earlier(a, b)
  for i = 1, {STAMP_BYTES} do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return false
end
local ttl = tonumber(ARGV[#KEYS + 1])
for i, key in ipairs(KEYS) do
  local old = redis.call('GETRANGE', key, 0, {STAMP_BYTES - 1})
  if old == '' or not earlier(ARGV[i], old) then
    if ttl > 0 then redis.call('SET', key, ARGV[i], 'EX', ttl) else redis.call('SET', key, ARGV[i]) end
  end
end
"""
# Bytes are compared one by one: Lua compares strings as the server's locale has it.


class PackedRedisOnlineStoreConfig(FeastConfigBaseModel):
    """The section `online_store` of feature_store.yaml."""

    # The connection string may hold a password.
    model_config = ConfigDict(hide_input_in_errors=True)

    type: StrictStr = "features.feast_plugins.packed_redis_online_store.PackedRedisOnlineStore"

    connection_string: SecretStr = SecretStr("redis://localhost:6379/0")
    """redis://, rediss:// (TLS) or unix://, as redis-py reads it."""

    cluster: StrictBool = False
    """Whether the server is a Redis Cluster."""

    timeout_ms: PositiveInt = 500
    """For connecting, and for each answer; then OnlineStoreUnavailableError is raised."""

    key_prefix: StrictStr = "feast"
    """What every key begins with, before the project."""

    key_ttl_seconds: PositiveInt | None = None
    """A row is forgotten so long after it was written; by default never."""


class PackedRedisOnlineStore(PackedOnlineStore):
    """Rows in Redis. Safe to use from several threads; reconnects by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._client: Any = None
        self._lock = threading.Lock()

    def read_rows(self, config: RepoConfig, wanted: Sequence[Wanted]) -> list[list[bytes | None]]:
        """One MGET for all views, one a slot in a cluster. Raises OnlineStoreUnavailableError."""
        names = [prefix + key for layout, keys in wanted for prefix in [_prefix_of(config, layout)] for key in keys]
        with self._connected(config) as client:
            found = iter(client.mget_nonatomic(names) if config.online_store.cluster else client.mget(names))
        return [list(islice(found, len(keys))) for _, keys in wanted]

    def write_rows(self, config: RepoConfig, layout: RowLayout, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Scripts of up to 500 rows, one a slot in a cluster. Raises OnlineStoreUnavailableError: write again then."""
        prefix = _prefix_of(config, layout)
        ttl = config.online_store.key_ttl_seconds or 0
        with self._connected(config) as client:
            slots: defaultdict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
            for key, row in rows:
                slots[client.keyslot(prefix + key) if config.online_store.cluster else 0].append((prefix + key, row))
            for slot in slots.values():
                for start in range(0, len(slot), ROWS_AT_ONCE):
                    names, values = zip(*slot[start : start + ROWS_AT_ONCE], strict=True)
                    client.eval(WRITE, len(names), *names, *values, ttl)

    def create(self, config: RepoConfig, layout: RowLayout) -> None:
        """Nothing: Redis needs no place made."""

    def delete(self, config: RepoConfig, view: str) -> None:
        """Delete the view's keys, of whatever schema: a scan over all keys of the server."""
        self._delete(config, _prefix(config, view))

    def all_keys(self, config: RepoConfig) -> Iterator[bytes]:
        """A scan over all keys of the server."""
        prefix = _prefix(config, "")[:-1]
        with self._connected(config) as client:
            for key in client.scan_iter(match=_escaped(prefix) + b"*", count=1000):
                # Neither the view nor the schema has a colon; an entity may.
                yield key[len(prefix) :].split(b":", 2)[2]

    def delete_keys(self, config: RepoConfig, keys: Sequence[bytes]) -> int:
        """A scan over all keys of the server for each."""
        prefix, count = _prefix(config, "")[:-1], 0
        with self._connected(config) as client:
            for key in keys:
                pattern = _escaped(prefix) + b"*:*:" + _escaped(key)
                for found in list(client.scan_iter(match=pattern, count=1000)):
                    # A star takes colons as well.
                    if found[len(prefix) :].split(b":", 2)[2] == key:
                        count += client.unlink(found)
        return count

    def overwrite_deleted(self, config: RepoConfig) -> None:
        """Nothing: Redis gives the memory back, and its files change when it writes them anew."""

    def clear(self, config: RepoConfig) -> None:
        """Delete all keys of key_prefix, of whatever project, view and schema: a scan as for `delete`."""
        self._delete(config, f"{config.online_store.key_prefix}:".encode())

    def disconnect(self) -> None:
        """Close the connections; the next call opens them."""
        if self._client is not None:
            self._client.close()

    def _delete(self, config: RepoConfig, prefix: bytes) -> None:
        with self._connected(config) as client:
            found = client.scan_iter(match=_escaped(prefix) + b"*", count=1000)
            while keys := list(islice(found, ROWS_AT_ONCE)):
                with client.pipeline(transaction=False) as pipeline:
                    for key in keys:
                        pipeline.unlink(key)
                    pipeline.execute()

    @contextmanager
    def _connected(self, config: RepoConfig) -> Iterator[Any]:
        try:
            yield self._connect(config)
        except (RedisConnectionError, RedisTimeoutError) as error:
            raise OnlineStoreUnavailableError(
                f"Redis: {error}; expected an answer within {config.online_store.timeout_ms} ms; see whether the "
                "server of connection_string is up: the next call tries again"
            ) from error

    def _connect(self, config: RepoConfig) -> Any:
        with self._lock:
            if self._client is None:
                timeout_s = config.online_store.timeout_ms / 1000
                # One more try, without a pause: a pooled connection may have died since it was last used.
                # Writing the same rows twice changes nothing.
                options = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, "retry": _retry()}
                kind = RedisCluster if config.online_store.cluster else Redis
                self._client = kind.from_url(config.online_store.connection_string.get_secret_value(), **options)
            return self._client


def _retry() -> Retry:
    return Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))


def _escaped(prefix: bytes) -> bytes:
    """Taken as it is in a pattern."""
    return b"".join(b"\\" + bytes([byte]) if byte in b"*?[]\\" else bytes([byte]) for byte in prefix)


def _prefix(config: RepoConfig, view: str) -> bytes:
    return f"{config.online_store.key_prefix}:{config.project}:{view}:".encode()


def _prefix_of(config: RepoConfig, layout: RowLayout) -> bytes:
    return _prefix(config, layout.view) + layout.id.encode() + b":"
