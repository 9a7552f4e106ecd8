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
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
from feast import FeatureStore, RepoConfig

from features.aggregate import WEIGHT, item_behaviour, user_behaviour
from features.cooccurrence import cooccurrence
from features.definitions import EVENT_TIMESTAMP, HISTORY_VIEW, ITEM_VIEW, USER_VIEW, feature_objects
from features.featureset import FeatureSet
from features.history import user_history
from features.recent import Row
from features.rows import user_state
from recsys.catalogue import Catalogue
from recsys.config import InteractionType
from recsys.errors import DataError, FeatureStoreError
from recsys.schema import EVENT_TYPE, ITEM_ID, USER_ID
from recsys.state import ItemState, UserState

VIEWS = (ITEM_VIEW, USER_VIEW, HISTORY_VIEW)
COOCCURRENCE = "cooccurrence"
ITEMS_AT_ONCE = 1000


class BehaviourStore:
    """The features of one project, offline and online. One instance a process: Feast caches its registry in it."""

    def __init__(self, folder: Path, features: FeatureSet) -> None:
        self.folder = folder
        self.features = features
        folder.mkdir(parents=True, exist_ok=True)
        logging.getLogger("feast").setLevel(logging.ERROR)
        self.feast = _feast(folder, online=self._online)

    # Writing

    def snapshot(
        self,
        interactions: pl.DataFrame,
        catalogue: Catalogue,
        moments: Sequence[datetime],
        *,
        windows_from: datetime | None = None,
    ) -> int:
        """Compute every view and the neighbours at each moment, unless they are there; returns how many were not.

        windows_from  the moment of an earlier snapshot: windows begin as there, and neighbours are those of it
        """
        missing = [as_of for as_of in moments if not self._neighbours_path(as_of).exists()]
        if missing:
            # First: what is on the disk is known to Feast, even if this process dies on the way.
            self.feast.apply(feature_objects(self.folder, self.features))  # type: ignore[arg-type]  # its list is invariant
        for as_of in missing:
            views = (
                item_behaviour(interactions, as_of, self.features, windows_from=windows_from),
                user_behaviour(interactions, as_of, self.features, windows_from=windows_from),
                user_history(interactions, as_of, windows_from=windows_from),
            )
            for name, view in zip(VIEWS, views, strict=True):
                _write_parquet(view, self.folder / name / f"{_stamp(as_of)}.parquet")
            path = self._neighbours_path(as_of)
            path.parent.mkdir(exist_ok=True)
            partial = path.with_suffix(".tmp.npz")
            found = cooccurrence(interactions, catalogue, windows_from or as_of)
            ids = np.array(catalogue.item_ids, dtype=np.str_)
            np.savez(partial, data=found.data, indices=found.indices, indptr=found.indptr, item_ids=ids)
            partial.replace(path)
        return len(missing)

    def forget_other_data(self, fingerprint: str) -> None:
        """Drop every snapshot that was computed from other data than that of this fingerprint."""
        mark = self.folder / "computed_from"
        if mark.exists() and mark.read_text() == fingerprint:
            return
        # The neighbours first: a moment without them counts as missing, whatever else is left of it.
        for view in (COOCCURRENCE, *VIEWS):
            if (self.folder / view).exists():
                shutil.rmtree(self.folder / view)
        mark.write_text(fingerprint)

    def materialise(self, as_of: datetime) -> None:
        """Put the snapshot of a moment, and nothing else, into the online store, which then needs the snapshot no more.

        A new store takes the place of the old one, so that no user or item of other data stays in it. A process that
        has read from the old one goes on with that.
        """
        neighbours = self._online_neighbours.with_suffix(".tmp")
        shutil.copyfile(self._neighbours_path(as_of), neighbours)
        # SQLite may have left a journal beside a store that was never finished.
        for leftover in self.folder.glob("online.tmp.db*"):
            leftover.unlink()
        filled = self.folder / "online.tmp.db"
        filling = _feast(self.folder, online=filled)
        # materialize prints its progress as coloured text on stdout.
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            filling.apply(feature_objects(self.folder, self.features))  # type: ignore[arg-type]  # its list is invariant
            filling.materialize(start_date=as_of, end_date=as_of)
        filled.replace(self._online)
        neighbours.replace(self._online_neighbours)
        self.feast = _feast(self.folder, online=self._online)
        moment = self.folder / "online_as_of.tmp"
        moment.write_text(as_of.isoformat())
        moment.replace(self.folder / "online_as_of")

    @property
    def _online(self) -> Path:
        return self.folder / "online.db"

    @property
    def _online_neighbours(self) -> Path:
        return self.folder / "online_neighbours.npz"

    # Reading for training: point in time, from the offline store

    def items_at(self, catalogue: Catalogue, as_of: datetime) -> ItemState:
        """Every item as it was known at `as_of`."""
        rows = self._join(ITEM_VIEW, ITEM_ID, catalogue.item_ids, as_of, self.features.item_columns)
        values = rows.select(self.features.item_columns).to_numpy().astype(np.float64)
        neighbours = self._neighbours(catalogue, self._neighbours_path(as_of))
        return ItemState(as_of.timestamp(), self.features.item_columns, values, neighbours)

    def users_at(self, user_ids: Sequence[str], catalogue: Catalogue, as_of: datetime) -> list[UserState]:
        """Each user as known at `as_of`, in the order given; the empty state for one never seen."""
        views = {USER_VIEW: self.features.user_columns, HISTORY_VIEW: self.features.history_columns}
        parts = [self._join(view, USER_ID, user_ids, as_of, names).select(names) for view, names in views.items()]
        rows = pl.concat(parts, how="horizontal")
        return [user_state(row, self.features, catalogue) for row in rows.iter_rows(named=True)]

    def _join(self, view: str, key: str, ids: Sequence[str], as_of: datetime, columns: Sequence[str]) -> pl.DataFrame:
        wanted = pd.DataFrame({key: list(dict.fromkeys(ids)), EVENT_TIMESTAMP: pd.Timestamp(as_of)})
        job = self.feast.get_historical_features(wanted, [f"{view}:{name}" for name in columns])
        found = pl.from_arrow(job.to_arrow())
        assert isinstance(found, pl.DataFrame)
        if len(found) != len(wanted):
            raise FeatureStoreError(f"{view}: {len(wanted)} rows went into the join in time, {len(found)} came out")
        # DuckDB's join does not keep the order of the rows.
        ordered = pl.DataFrame({key: list(ids)}).join(found, on=key, how="left", maintain_order="left", validate="m:1")
        return ordered.with_columns(pl.selectors.numeric().fill_null(np.nan))

    def _neighbours(self, catalogue: Catalogue, path: Path) -> sp.csr_array:
        """The neighbours of a file in the order of the catalogue, which may have gained and lost items since."""
        if not path.exists():
            raise FeatureStoreError(f"{path}: no such snapshot of the features; run `recsys train` to compute it")
        with np.load(path) as saved:
            ids: list[str] = saved["item_ids"].tolist()
            parts = (saved["data"], saved["indices"], saved["indptr"])
        found = sp.csr_array(parts, shape=(len(ids), len(ids))).tocoo()
        size = len(catalogue)
        position = np.array([catalogue.index.get(item, -1) for item in ids], dtype=np.int64)
        row, column = position[found.row], position[found.col]
        known = (row >= 0) & (column >= 0)
        return sp.csr_array((found.data[known], (row[known], column[known])), shape=(size, size))

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

    def online_written_at(self) -> datetime:
        """When that snapshot was put into the online store."""
        return datetime.fromtimestamp((self.folder / "online_as_of").stat().st_mtime, UTC)

    def online_items(self, catalogue: Catalogue) -> ItemState:
        """Every item from the online store, read once: Feast's own read costs a quarter of a millisecond an item."""
        as_of, columns = self.online_as_of(), self.features.item_columns
        references = [f"{ITEM_VIEW}:{name}" for name in columns]
        rows = []
        for start in range(0, len(catalogue), ITEMS_AT_ONCE):
            ids = catalogue.item_ids[start : start + ITEMS_AT_ONCE]
            answer = self.feast.get_online_features(references, [{ITEM_ID: item} for item in ids]).to_dict()
            rows.append(np.array([answer[name] for name in columns], dtype=np.float64).T)
        neighbours = self._neighbours(catalogue, self._online_neighbours)
        return ItemState(as_of.timestamp(), columns, np.concatenate(rows), neighbours)

    def online_rows(self, user_ids: Sequence[str]) -> list[Row]:
        """The rows of users by the columns of both views; of one never seen NaN and None."""
        references = [f"{USER_VIEW}:{name}" for name in self.features.user_columns]
        references += [f"{HISTORY_VIEW}:{name}" for name in self.features.history_columns]
        answer = self.feast.get_online_features(references, [{USER_ID: user} for user in user_ids]).to_dict()
        names = (*self.features.user_columns, *self.features.history_columns)
        return [dict(zip(names, values, strict=True)) for values in zip(*(answer[name] for name in names), strict=True)]

    def online_user(self, user_id: str, catalogue: Catalogue) -> UserState:
        """One user from the online store; the empty state for one never seen."""
        [row] = self.online_rows([user_id])
        return user_state(row, self.features, catalogue)


def weigh(interactions: pl.DataFrame, types: dict[str, InteractionType]) -> pl.DataFrame:
    """The interactions with the weight of their type in a column of its own.

    Raises DataError when one is of a type that is not among `types`.
    """
    weights = {name: kind.weight for name, kind in types.items()}
    if unknown := sorted(set(interactions[EVENT_TYPE].unique()) - weights.keys()):
        raise DataError(
            f"interactions: found the types {unknown}, expected {sorted(weights)}; "
            "add them to [interaction_types], or run `recsys import` again"
        )
    return interactions.with_columns(pl.col(EVENT_TYPE).replace_strict(weights, return_dtype=pl.Float32).alias(WEIGHT))


def _feast(folder: Path, *, online: Path) -> FeatureStore:
    return FeatureStore(
        config=RepoConfig(
            project="recsys",
            provider="local",
            registry={
                "path": str(folder / "registry.db"),
                "cache_mode": "thread",
                "cache_ttl_seconds": 3600,
                # Else reads fail while another process fills the online store.
                "serve_features_while_materializing": True,
            },
            online_store={"type": "sqlite", "path": str(online)},
            offline_store={"type": "duckdb"},
            entity_key_serialization_version=3,
            repo_path=folder,
        )
    )


def _stamp(as_of: datetime) -> str:
    return as_of.astimezone(UTC).strftime("%Y-%m-%dT%H%M%S.%f")


def _write_parquet(frame: pl.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    frame.write_parquet(partial)
    partial.replace(path)
