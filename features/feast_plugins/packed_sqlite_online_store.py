"""Packed rows in a SQLite file (features.packed.sqlite), as an online store of Feast.

online_store:
  type: features.feast_plugins.packed_sqlite_online_store.PackedSqliteOnlineStore
  path: data/online.db
"""

from pathlib import Path

from feast import RepoConfig
from feast.repo_config import FeastConfigBaseModel
from pydantic import PositiveInt, StrictStr

from features.feast_plugins.packed_online_store import PackedOnlineStore
from features.packed.sqlite import TIMEOUT_MS, SqliteRows


class PackedSqliteOnlineStoreConfig(FeastConfigBaseModel):
    """The section `online_store` of feature_store.yaml."""

    type: StrictStr = "features.feast_plugins.packed_sqlite_online_store.PackedSqliteOnlineStore"

    path: StrictStr = "data/online.db"
    """Of the file; relative to the feature repository."""

    timeout_ms: PositiveInt = TIMEOUT_MS
    """How long a write waits for another process that writes."""


class PackedSqliteOnlineStore(PackedOnlineStore):
    """Rows in a SQLite file. Safe to use from several threads, and after a fork."""

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[tuple[Path, int], SqliteRows] = {}

    def place(self, config: RepoConfig) -> SqliteRows:
        """The file of the configuration."""
        online = config.online_store
        # An absolute path stays as it is.
        path = Path(config.repo_path or "", online.path)
        return self._files.setdefault((path, online.timeout_ms), SqliteRows(path, timeout_ms=online.timeout_ms))

    def disconnect(self) -> None:
        """Close the idle connections; the last one to close leaves everything in the file itself."""
        for file in self._files.values():
            file.close()
