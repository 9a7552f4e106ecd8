"""The project's feature store: snapshots computed with Polars, kept, joined in time and served by Feast.

Reads   tables/interactions.parquet
Writes  features/VIEW/*.parquet      snapshots, a file for each moment      (Feast's offline store, DuckDB)
        features/cooccurrence/*.npz  item neighbours at the same moments
        features/online.db           the latest of them                     (Feast's online store, SQLite)
"""

import logging
import os
import shutil
from collections.abc import Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
from feast import FeatureStore, RepoConfig

from features.aggregate import WEIGHT, item_behaviour, user_behaviour, user_history
from features.cooccurrence import cooccurrence
from features.definitions import EVENT_TIMESTAMP, HISTORY_VIEW, ITEM_VIEW, USER_VIEW, feature_objects
from features.rows import HISTORY_COLUMNS, ITEM_COLUMNS, USER_COLUMNS, user_state
from recsys.catalogue import Catalogue
from recsys.config import InteractionType
from recsys.errors import FeatureStoreError
from recsys.schema import EVENT_TYPE, ITEM_ID, USER_ID
from recsys.state import ItemState, UserState

AGGREGATES = {ITEM_VIEW: item_behaviour, USER_VIEW: user_behaviour, HISTORY_VIEW: user_history}
ITEM_REFERENCES = [f"{ITEM_VIEW}:{name}" for name in ITEM_COLUMNS]
USER_REFERENCES = [
    *(f"{USER_VIEW}:{name}" for name in USER_COLUMNS),
    *(f"{HISTORY_VIEW}:{name}" for name in HISTORY_COLUMNS),
]
COOCCURRENCE = "cooccurrence"
ITEMS_AT_ONCE = 1000
ONE_DAY = timedelta(days=1)

os.environ.setdefault("FEAST_USAGE", "False")


class BehaviourStore:
    """The features of one project, offline and online. One instance a process: Feast caches its registry in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        logging.getLogger("feast").setLevel(logging.WARNING)
        self.feast = FeatureStore(
            config=RepoConfig(
                project="recsys",
                provider="local",
                registry={"path": str(folder / "registry.db"), "cache_mode": "thread", "cache_ttl_seconds": 3600},
                online_store={"type": "sqlite", "path": str(folder / "online.db")},
                offline_store={"type": "duckdb"},
                entity_key_serialization_version=3,
                repo_path=folder,
            )
        )

    # Writing

    def snapshot(self, interactions: pl.DataFrame, catalogue: Catalogue, moments: Sequence[datetime]) -> int:
        """Compute every view and the neighbours at each moment, unless they are there; returns how many were not."""
        missing = [as_of for as_of in moments if not self._neighbours_path(as_of).exists()]
        for as_of in missing:
            for view, aggregate in AGGREGATES.items():
                _write_parquet(aggregate(interactions, as_of), self.folder / view / f"{_stamp(as_of)}.parquet")
            path = self._neighbours_path(as_of)
            path.parent.mkdir(exist_ok=True)
            partial = path.with_suffix(".tmp.npz")
            found = cooccurrence(interactions, catalogue, as_of)
            ids = np.array(catalogue.item_ids, dtype=np.str_)
            np.savez(partial, data=found.data, indices=found.indices, indptr=found.indptr, item_ids=ids)
            partial.replace(path)
        if missing:
            self.feast.apply(feature_objects(self.folder))  # type: ignore[arg-type]  # its list is invariant
        return len(missing)

    def forget_other_data(self, fingerprint: str) -> None:
        """Drop every snapshot that was computed from other data than that of this fingerprint."""
        mark = self.folder / "computed_from"
        if mark.exists() and mark.read_text() == fingerprint:
            return
        for view in (*AGGREGATES, COOCCURRENCE):
            shutil.rmtree(self.folder / view, ignore_errors=True)
        mark.write_text(fingerprint)

    def materialise(self, as_of: datetime) -> None:
        """Put the snapshot of a moment into the online store."""
        # materialize prints its progress as coloured text on stdout.
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            self.feast.materialize(start_date=as_of - ONE_DAY, end_date=as_of + timedelta(microseconds=1))
        (self.folder / "online_as_of").write_text(as_of.isoformat())

    # Reading for training: point in time, from the offline store

    def items_at(self, catalogue: Catalogue, as_of: datetime) -> ItemState:
        """Every item as it was known at `as_of`."""
        rows = self._join(ITEM_VIEW, ITEM_ID, catalogue.item_ids, as_of, ITEM_COLUMNS)
        values = rows.select(ITEM_COLUMNS).to_numpy().astype(np.float64)
        return ItemState(as_of.timestamp(), ITEM_COLUMNS, values, self._neighbours(catalogue, as_of))

    def users_at(self, user_ids: Sequence[str], catalogue: Catalogue, as_of: datetime) -> list[UserState]:
        """Each user as known at `as_of`, in the order given."""
        behaviour = self._join(USER_VIEW, USER_ID, user_ids, as_of, USER_COLUMNS)
        history = self._join(HISTORY_VIEW, USER_ID, user_ids, as_of, HISTORY_COLUMNS)
        rows = pl.concat([behaviour.select(USER_COLUMNS), history.select(HISTORY_COLUMNS)], how="horizontal")
        return [user_state(row, catalogue) for row in rows.iter_rows(named=True)]

    def _join(self, view: str, key: str, ids: Sequence[str], as_of: datetime, columns: Sequence[str]) -> pl.DataFrame:
        wanted = pd.DataFrame({key: list(ids), EVENT_TIMESTAMP: pd.Timestamp(as_of)})
        job = self.feast.get_historical_features(wanted, [f"{view}:{name}" for name in columns])
        found = pl.from_arrow(job.to_arrow())
        assert isinstance(found, pl.DataFrame)
        # DuckDB's join does not keep the order of the rows.
        ordered = pl.DataFrame({key: list(ids)}).join(found, on=key, how="left", maintain_order="left", validate="1:1")
        if len(found) != len(wanted):
            raise FeatureStoreError(f"{view}: {len(wanted)} rows went into the join in time, {len(found)} came out")
        return ordered.with_columns(pl.selectors.numeric().fill_null(np.nan))

    def _neighbours(self, catalogue: Catalogue, as_of: datetime) -> sp.csr_array:
        path = self._neighbours_path(as_of)
        if not path.exists():
            raise FeatureStoreError(f"{path}: no snapshot of the features at {as_of}; run `recsys train` to compute it")
        with np.load(path) as saved:
            if saved["item_ids"].tolist() != catalogue.item_ids:
                raise FeatureStoreError(
                    f"{path}: holds {len(saved['item_ids'])} items, expected the {len(catalogue)} items of the bundle; "
                    "the items have changed since it was trained, run `recsys train`"
                )
            parts = (saved["data"], saved["indices"], saved["indptr"])
            return sp.csr_array(parts, shape=(len(catalogue), len(catalogue)))

    def _neighbours_path(self, as_of: datetime) -> Path:
        return self.folder / COOCCURRENCE / f"{_stamp(as_of)}.npz"

    # Reading for serving: the latest, from the online store

    def online_as_of(self) -> datetime:
        """The moment of the snapshot in the online store. Raises FeatureStoreError when it is empty."""
        try:
            return datetime.fromisoformat((self.folder / "online_as_of").read_text())
        except OSError as error:
            raise FeatureStoreError(
                f"{self.folder}: the online store is empty; run `recsys train` to fill it"
            ) from error

    def online_items(self, catalogue: Catalogue) -> ItemState:
        """Every item from the online store, read once: Feast's own read costs a quarter of a millisecond an item."""
        as_of = self.online_as_of()
        rows = []
        for start in range(0, len(catalogue), ITEMS_AT_ONCE):
            ids = catalogue.item_ids[start : start + ITEMS_AT_ONCE]
            answer = self.feast.get_online_features(ITEM_REFERENCES, [{ITEM_ID: item} for item in ids]).to_dict()
            rows.append(np.array([answer[name] for name in ITEM_COLUMNS], dtype=np.float64).T)
        return ItemState(as_of.timestamp(), ITEM_COLUMNS, np.concatenate(rows), self._neighbours(catalogue, as_of))

    def online_user(self, user_id: str, catalogue: Catalogue) -> UserState:
        """One user from the online store; the empty state for one never seen."""
        answer = self.feast.get_online_features(USER_REFERENCES, [{USER_ID: user_id}]).to_dict()
        return user_state({name: values[0] for name, values in answer.items()}, catalogue)


def weigh(interactions: pl.DataFrame, types: dict[str, InteractionType]) -> pl.DataFrame:
    """The interactions with the weight of their type in a column of its own."""
    weights = {name: kind.weight for name, kind in types.items()}
    return interactions.with_columns(pl.col(EVENT_TYPE).replace_strict(weights, return_dtype=pl.Float32).alias(WEIGHT))


def _stamp(as_of: datetime) -> str:
    return as_of.astimezone(UTC).strftime("%Y-%m-%dT%H%M%S.%f")


def _write_parquet(frame: pl.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    frame.write_parquet(partial)
    partial.replace(path)
