"""Packed rows in Redis or Valkey: a string for each entity and view.

A key is PREFIX:PROJECT:VIEW:SCHEMA: and the serialised entity key.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from features.packed.layout import STAMP_BYTES, RowLayout
from features.packed.places import RowsUnavailableError, Wanted

TIMEOUT_MS = 500
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


class RedisRows:
    """Those under a prefix. Safe to use from several threads; reconnects by itself."""

    def __init__(
        self,
        address: str,
        prefix: str,
        *,
        cluster: bool = False,
        timeout_ms: int = TIMEOUT_MS,
        ttl_seconds: int | None = None,
    ) -> None:
        """address      redis://, rediss:// (TLS) or unix://, as redis-py reads it; it may hold a password
        prefix       what every key begins with, before the project
        cluster      whether the server is a Redis Cluster
        timeout_ms   for connecting, and for each answer; then RowsUnavailableError is raised
        ttl_seconds  a row is forgotten so long after it was written; None: never
        """
        self._address, self._prefix, self._cluster = address, prefix, cluster
        self._timeout_ms, self._ttl_seconds = timeout_ms, ttl_seconds
        self._client: Any = None
        self._lock = threading.Lock()

    def read(self, wanted: Sequence[Wanted]) -> list[list[bytes | None]]:
        """One MGET for all views, one a slot in a cluster. Raises RowsUnavailableError."""
        names = [prefix + key for layout, keys in wanted for prefix in [self._prefix_of(layout)] for key in keys]
        with self._connected() as client:
            found = iter(client.mget_nonatomic(names) if self._cluster else client.mget(names))
        return [list(islice(found, len(keys))) for _, keys in wanted]

    def write(self, layout: RowLayout, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Scripts of up to 500 rows, one a slot in a cluster. Raises RowsUnavailableError: write again then."""
        prefix, ttl = self._prefix_of(layout), self._ttl_seconds or 0
        with self._connected() as client:
            slots: defaultdict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
            for key, row in rows:
                slots[client.keyslot(prefix + key) if self._cluster else 0].append((prefix + key, row))
            for slot in slots.values():
                for start in range(0, len(slot), ROWS_AT_ONCE):
                    names, values = zip(*slot[start : start + ROWS_AT_ONCE], strict=True)
                    client.eval(WRITE, len(names), *names, *values, ttl)

    def create(self, layout: RowLayout) -> None:
        """Nothing: Redis needs no place made."""

    def delete(self, project: str, view: str) -> None:
        """Delete the view's keys, of whatever schema: a scan over all keys of the server."""
        self._delete(self._beginning(project, view))

    def all_keys(self, project: str) -> Iterator[bytes]:
        """A scan over all keys of the server."""
        beginning = self._beginning(project, "")[:-1]
        with self._connected() as client:
            for key in client.scan_iter(match=_escaped(beginning) + b"*", count=1000):
                # Neither the view nor the schema has a colon; an entity may.
                yield key[len(beginning) :].split(b":", 2)[2]

    def delete_keys(self, project: str, keys: Sequence[bytes]) -> int:
        """A scan over all keys of the server for each."""
        beginning, count = self._beginning(project, "")[:-1], 0
        with self._connected() as client:
            for key in keys:
                pattern = _escaped(beginning) + b"*:*:" + _escaped(key)
                for found in list(client.scan_iter(match=pattern, count=1000)):
                    # A star takes colons as well.
                    if found[len(beginning) :].split(b":", 2)[2] == key:
                        count += client.unlink(found)
        return count

    def overwrite_deleted(self) -> None:
        """Nothing: Redis gives the memory back, and its files change when it writes them anew."""

    def clear(self) -> None:
        """Delete all keys of the prefix, of whatever project, view and schema: a scan as for `delete`."""
        self._delete(f"{self._prefix}:".encode())

    def close(self) -> None:
        """Close the connections; the next call opens them."""
        if self._client is not None:
            self._client.close()

    def _delete(self, beginning: bytes) -> None:
        with self._connected() as client:
            found = client.scan_iter(match=_escaped(beginning) + b"*", count=1000)
            while keys := list(islice(found, ROWS_AT_ONCE)):
                with client.pipeline(transaction=False) as pipeline:
                    for key in keys:
                        pipeline.unlink(key)
                    pipeline.execute()

    def _beginning(self, project: str, view: str) -> bytes:
        return f"{self._prefix}:{project}:{view}:".encode()

    def _prefix_of(self, layout: RowLayout) -> bytes:
        return self._beginning(layout.project, layout.view) + layout.id.encode() + b":"

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        try:
            yield self._connect()
        except (RedisConnectionError, RedisTimeoutError) as error:
            raise RowsUnavailableError(
                f"Redis: {error}; expected an answer within {self._timeout_ms} ms; see whether the "
                "server of connection_string is up: the next call tries again"
            ) from error

    def _connect(self) -> Any:
        with self._lock:
            if self._client is None:
                timeout_s = self._timeout_ms / 1000
                # One more try, without a pause: a pooled connection may have died since it was last used.
                # Writing the same rows twice changes nothing.
                retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
                options = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, "retry": retry}
                self._client = (RedisCluster if self._cluster else Redis).from_url(self._address, **options)
            return self._client


def _escaped(text: bytes) -> bytes:
    """Taken as it is in a pattern."""
    return b"".join(b"\\" + bytes([byte]) if byte in b"*?[]\\" else bytes([byte]) for byte in text)
