"""The project's feature store: snapshots (features.snapshots), joined in time and served by Feast.

Reads   tables/interactions.parquet, tables/impressions.parquet, tables/users.parquet
Writes  features/VIEW/, features/cooccurrence/   snapshots              (Feast's offline store, Polars)
        features/online/                         the latest of them     (Feast's online store, features.online)
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from features.definitions import (
    AFFINITY_VIEW,
    ATTRIBUTES_VIEW,
    EVENT_TIMESTAMP,
    EXPOSURE_VIEW,
    HISTORY_VIEW,
    ITEM_VIEW,
    USER_VIEW,
    feature_objects,
)
from features.feast_plugins.polars_retrieval_job import PolarsRetrievalJob
from features.feast_project import PROJECT, apply, open_project
from features.featureset import FeatureSet
from features.neighbours_file import read_neighbours, read_popularity_by
from features.online import Filling, OnlineFeatures
from features.recent import Row
from features.rows import user_state
from features.snapshots import Snapshots, SnapshotTables
from features.weights import weights_of
from recsys.catalogue import Catalogue
from recsys.errors import FeatureStoreError
from recsys.exposure import Exposure
from recsys.forgetting.who import Who
from recsys.online_address import SQLITE
from recsys.schema import ITEM_ID, USER_ID
from recsys.state import ItemState, UserState
from recsys.workspace import Workspace

ITEMS_AT_ONCE = 20_000


class BehaviourStore:
    """The features of one project, offline and online. One instance a process: Feast caches its registry in it."""

    def __init__(
        self,
        folder: Path,
        features: FeatureSet,
        weights: Mapping[str, float],
        *,
        online_store: str = SQLITE,
        project: str = PROJECT,
    ) -> None:
        """`weights` of the interaction types of these features, `online_store` as in recsys.toml.

        Raises ConfigError or FeatureStoreError when the online store cannot be used. Projects that share a Redis are
        told apart by `project` in their keys.
        """
        self.folder = folder
        self.features = features
        folder.mkdir(parents=True, exist_ok=True)
        self._snapshots = Snapshots(folder, features, weights)
        self.feast = open_project(folder, online_store=None)
        self._online = OnlineFeatures(folder, online_store, project)

    @classmethod
    def of(cls, workspace: Workspace) -> "BehaviourStore":
        """The store that a project's recsys.toml describes."""
        config = workspace.config
        features = FeatureSet.of_config(config)
        weights = weights_of(config.interaction_types)
        return cls(
            workspace.features, features, weights, online_store=config.features.online_store, project=config.name
        )

    # Writing

    def snapshot(
        self,
        interactions: pl.DataFrame,
        catalogue: Catalogue,
        moments: Sequence[datetime],
        *,
        impressions: pl.DataFrame | None = None,
        users: pl.DataFrame | None = None,
        windows_from: datetime | None = None,
        same_neighbours: bool = False,
        advance: Callable[[], None] = lambda: None,
    ) -> int:
        """Compute every view and the neighbours at each moment, unless they are there; returns how many were not.

        impressions   what was shown, if that is known
        users         the table with their attributes, of which there is no view when features has none
        windows_from  the moment of an earlier snapshot: windows begin as there, and neighbours are those of it
        same_neighbours  the snapshot of windows_from knows all that happened before it: its neighbours are taken
        advance       is told of every moment that is there

        Of days whose interactions have not changed since they were computed nothing is computed again.
        """
        missing = [as_of for as_of in moments if not self._snapshots.has(as_of)]
        if missing:
            # First: what is on the disk is known to Feast, even if this process dies on the way.
            apply(self.feast, feature_objects(self.folder, self.features))
            self._snapshots.hold(interactions)
        tables = SnapshotTables(interactions, impressions, users)
        for as_of in moments:
            if as_of in missing:
                self._snapshots.write(
                    tables, catalogue, as_of, windows_from=windows_from, same_neighbours=same_neighbours
                )
            advance()
        return len(missing)

    def forget_other_data(self, fingerprint: str) -> None:
        """Drop every snapshot that was computed from other data than that of this fingerprint.

        What was computed of days stays: each day says of itself what it was computed from.
        """
        self._snapshots.forget_other_data(fingerprint)

    def materialise(self, as_of: datetime) -> None:
        """Put the snapshot of a moment, and nothing else, into the online store, which then needs the snapshot no more.

        The new rows take the place of the old ones, so that no user or item of other data stays. A process that reads
        goes on: from SQLite with the rows that it began with, from Redis with the new ones.
        Raises FeatureStoreError when Redis does not answer; then the old rows serve on.
        """
        self._online.fill(as_of, self._snapshots.neighbours(as_of), feature_objects(self.folder, self.features))

    def forget(self, who: Who) -> dict[str, int]:
        """Remove snapshots and days that know any of these users (features.snapshots); returns how many."""
        return self._snapshots.forget(who)

    def forget_online(self, who: Who, *, thoroughly: bool) -> int:
        """Delete their rows in the online store (features.online); returns how many. Raises FeatureStoreError."""
        return self._online.forget(who, thoroughly=thoroughly)

    # Reading for training: point in time, from the offline store

    def items_at(self, catalogue: Catalogue, as_of: datetime) -> ItemState:
        """Every item as it was known at `as_of`."""
        values, exposure = (
            self._join(view, ITEM_ID, catalogue.item_ids, as_of, names).select(names).to_numpy().astype(np.float64)
            for view, names in self._item_views().items()
        )
        file = self._snapshots.neighbours(as_of)
        neighbours, by = read_neighbours(file, catalogue), read_popularity_by(file, catalogue)
        columns, categories = self.features.item_columns, catalogue.categories_at(as_of)
        attributes = catalogue.attributes_at(as_of)
        shown = Exposure.of(self.features.exposure_columns, exposure)
        return ItemState(as_of.timestamp(), columns, values, neighbours, categories, attributes, shown, by)

    def users_at(self, user_ids: Sequence[str], catalogue: Catalogue, as_of: datetime) -> list[UserState]:
        """Each user as known at `as_of`, in the order given; the empty state for one never seen."""
        views = self._user_views()
        parts = [self._join(view, USER_ID, user_ids, as_of, names).select(names) for view, names in views.items()]
        rows = pl.concat(parts, how="horizontal")
        return [user_state(row, self.features, catalogue) for row in rows.iter_rows(named=True)]

    def _item_views(self) -> dict[str, tuple[str, ...]]:
        """The columns of each view of items."""
        return {ITEM_VIEW: self.features.item_columns, EXPOSURE_VIEW: self.features.exposure_columns}

    def _user_views(self) -> dict[str, tuple[str, ...]]:
        """The columns of each view of users, in the order of features.row_columns."""
        features = self.features
        views = {
            USER_VIEW: features.user_columns,
            HISTORY_VIEW: features.history_columns,
            AFFINITY_VIEW: features.affinity_columns,
        }
        return views | ({ATTRIBUTES_VIEW: features.attribute_columns} if features.attribute_columns else {})

    def _join(self, view: str, key: str, ids: Sequence[str], as_of: datetime, columns: Sequence[str]) -> pl.DataFrame:
        wanted = pl.DataFrame({key: ids}, schema={key: pl.String}).with_columns(pl.lit(as_of).alias(EVENT_TIMESTAMP))
        # Rows come out in the order in which they go in.
        job = self.feast.get_historical_features(wanted, [f"{view}:{name}" for name in columns])
        assert isinstance(job, PolarsRetrievalJob)
        return job.to_polars().with_columns(pl.selectors.numeric().fill_null(np.nan))

    # Reading for serving: the latest, from the online store

    def online_as_of(self) -> datetime:
        """The moment of the snapshot in the online store. Raises FeatureStoreError when it is empty."""
        return self._online.current().as_of

    def online_filling(self) -> str:
        """The name of what is in the online store: another one whenever it is filled anew."""
        return self._online.current().name

    def online_written_at(self) -> datetime:
        """When that snapshot was put into the online store."""
        return self._online.current().written_at

    def online_items(self, catalogue: Catalogue) -> ItemState:
        """Every item from the online store, read once. Raises FeatureStoreError when it is empty or does not answer."""
        while True:
            filling = self._online.newest()
            try:
                items = self._items_of(filling, catalogue)
            except FeatureStoreError:
                if self._online.current() == filling:
                    raise
                continue
            # Else another process has filled the store anew and removed these rows, perhaps before all were read.
            if self._online.current() == filling:
                return items

    def _items_of(self, filling: Filling, catalogue: Catalogue) -> ItemState:
        columns, of_exposure = self.features.item_columns, self.features.exposure_columns
        references = [f"{view}:{name}" for view, names in self._item_views().items() for name in names]
        rows, shown = [np.empty((0, len(columns)))], [np.empty((0, len(of_exposure)))]
        for start in range(0, len(catalogue), ITEMS_AT_ONCE):
            ids = catalogue.item_ids[start : start + ITEMS_AT_ONCE]
            answer = self._online.read(references, ITEM_ID, ids)
            rows.append(answer.matrix(columns, dtype=np.float64))
            shown.append(answer.matrix(of_exposure, dtype=np.float64))
        file = self._online.neighbours(filling)
        return ItemState(
            filling.as_of.timestamp(),
            columns,
            np.concatenate(rows),
            read_neighbours(file, catalogue),
            catalogue.categories_at(None),
            catalogue.attributes_at(None),
            Exposure.of(of_exposure, np.concatenate(shown)),
            read_popularity_by(file, catalogue),
        )

    def online_rows(self, user_ids: Sequence[str]) -> list[Row]:
        """The rows of users by features.row_columns; of one never seen NaN and None.

        Raises FeatureStoreError when the store is empty or does not answer.
        """
        columns = self.features.user_columns
        others = (*self.features.list_columns, *self.features.attribute_columns)
        references = [f"{view}:{name}" for view, names in self._user_views().items() for name in names]
        answer = self._online.read(references, USER_ID, user_ids)
        behaviour = answer.matrix(columns, dtype=np.float64)
        rest = zip(*(answer.column(name) for name in others), strict=True)
        names = (*columns, *others)
        return [dict(zip(names, (*own, *more), strict=True)) for own, more in zip(behaviour, rest, strict=True)]

    def online_user(self, user_id: str, catalogue: Catalogue) -> UserState:
        """One user from the online store; the empty state for one never seen.

        Raises FeatureStoreError when the store is empty or does not answer.
        """
        [row] = self.online_rows([user_id])
        return user_state(row, self.features, catalogue)
