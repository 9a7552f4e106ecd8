"""Packed rows in Redis or Valkey (features.packed.redis), as an online store of Feast.

online_store:
  type: features.feast_plugins.packed_redis_online_store.PackedRedisOnlineStore
  connection_string: redis://:password@localhost:6379/0
"""

import threading

from feast import RepoConfig
from feast.repo_config import FeastConfigBaseModel
from pydantic import ConfigDict, PositiveInt, SecretStr, StrictBool, StrictStr

from features.feast_plugins.packed_online_store import PackedOnlineStore
from features.packed.redis import TIMEOUT_MS, RedisRows


class PackedRedisOnlineStoreConfig(FeastConfigBaseModel):
    """The section `online_store` of feature_store.yaml."""

    # The connection string may hold a password.
    model_config = ConfigDict(hide_input_in_errors=True)

    type: StrictStr = "features.feast_plugins.packed_redis_online_store.PackedRedisOnlineStore"

    connection_string: SecretStr = SecretStr("redis://localhost:6379/0")
    """redis://, rediss:// (TLS) or unix://, as redis-py reads it."""

    cluster: StrictBool = False
    """Whether the server is a Redis Cluster."""

    timeout_ms: PositiveInt = TIMEOUT_MS
    """For connecting, and for each answer; then OnlineStoreUnavailableError is raised."""

    key_prefix: StrictStr = "feast"
    """What every key begins with, before the project."""

    key_ttl_seconds: PositiveInt | None = None
    """A row is forgotten so long after it was written; by default never."""


class PackedRedisOnlineStore(PackedOnlineStore):
    """Rows in Redis. Safe to use from several threads; reconnects by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: RedisRows | None = None
        self._lock = threading.Lock()

    def place(self, config: RepoConfig) -> RedisRows:
        """The server of the first configuration that was asked for: Feast makes a store for each."""
        online = config.online_store
        with self._lock:
            if self._rows is None:
                self._rows = RedisRows(
                    online.connection_string.get_secret_value(),
                    online.key_prefix,
                    cluster=online.cluster,
                    timeout_ms=online.timeout_ms,
                    ttl_seconds=online.key_ttl_seconds,
                )
            return self._rows

    def disconnect(self) -> None:
        """Close the connections; the next call opens them."""
        if self._rows is not None:
            self._rows.close()
