"""Where a project keeps what the engine makes of its data: the folder of recsys.toml.

recsys.toml
tables/       items, interactions, impressions, users .parquet   written by recsys import
quarantine/   the refused rows, one JSONL a table                written by recsys import
features/     snapshots of the features, the days that they are made of (daily/), Feast registry, feature_store.yaml and
              online store
cache/        results of training stages, named by what went into them; embeddings.db, vectors of item texts; and
              packed-*, text models as servers share them
bundles/      one folder a model bundle, and `champion`, the name of the one that serves
events.db     the event log                                      written by recsys serve
log/          the same by day, one folder a table                written by recsys export; [log] folder may name another
keys.json     the hashes of the API keys                         written by recsys keys
forgotten.json, forgotten.key  users who were forgotten, as hashes  written by recsys forget
drift.html    the latest drift as a page                         written by recsys drift
retrain.json  what was last learned from, and what came of it    written by recsys retrain
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from recsys.config import Config, load_config
from recsys.errors import DataError
from recsys.schema import TABLES

RETRAIN_LOCK: Final = ".retrain.lock"
"""In the folder: held by the one process that retrains, or that forgets what training keeps."""


@dataclass(frozen=True)
class Workspace:
    """A project's configuration and the folders beside it."""

    root: Path
    config: Config

    @classmethod
    def open(cls, config_path: Path) -> "Workspace":
        """The project of a recsys.toml. Raises ConfigError as load_config does."""
        return cls(config_path.resolve().parent, load_config(config_path))

    def source_path(self, path: str) -> Path:
        """A path of [source], which is relative to the folder of recsys.toml."""
        return self.root / path

    def table_path(self, table: str) -> Path:
        assert table in TABLES, table
        return self.root / "tables" / f"{table}.parquet"

    def with_tables(self) -> "Workspace":
        """The same project, imported. Raises DataError when it is not."""
        for table in ("items", "interactions"):
            self._existing_table(table)
        return self

    def read_table(self, table: str) -> pl.DataFrame:
        """An imported table. Raises DataError when it is not there."""
        return pl.read_parquet(self._existing_table(table))

    def read_impressions(self) -> pl.DataFrame | None:
        """What was shown; None when none was imported."""
        path = self.table_path("impressions")
        return pl.read_parquet(path) if path.exists() else None

    def _existing_table(self, table: str) -> Path:
        path = self.table_path(table)
        if not path.exists():
            raise DataError(f"{path}: the table is missing; run `recsys import --config {self.root}/recsys.toml`")
        return path

    def quarantine_path(self, table: str) -> Path:
        return self.root / "quarantine" / f"{table}.jsonl"

    @property
    def features(self) -> Path:
        return self.root / "features"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def embeddings(self) -> Path:
        return self.cache / "embeddings.db"

    @property
    def bundles(self) -> Path:
        return self.root / "bundles"

    @property
    def events(self) -> Path:
        return self.root / "events.db"

    @property
    def exported(self) -> Path:
        return self.root / self.config.log.folder

    @property
    def keys(self) -> Path:
        return self.root / "keys.json"

    @property
    def drift(self) -> Path:
        """What has moved since the champion was trained, as recsys.drift.DriftReport."""
        return self.root / "tables" / "drift.json"

    @property
    def retrain(self) -> Path:
        return self.root / "retrain.json"
