"""The project's feature store: snapshots (features.snapshots), joined in time and put into the online store by Feast.

Reads   tables/interactions.parquet, tables/impressions.parquet, tables/users.parquet
Writes  features/VIEW/, features/cooccurrence/   snapshots              (Feast's offline store, Polars)
        features/online/                         the latest of them     (Feast's online store, features.online_filling)
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from features.definitions import feature_objects
from features.feast_plugins.polars_retrieval_job import PolarsRetrievalJob
from features.feast_project import apply, open_project
from features.featureset import FeatureSet
from features.field import Field
from features.known_before import SnapshotTables, known_before
from features.neighbours_file import read_neighbours, read_popularity_by
from features.online_behaviour import OnlineBehaviour, layouts_of
from features.online_filling import fill
from features.rows import user_state
from features.snapshots import Snapshots
from features.stored_views import EVENT_TIMESTAMP, PROJECT, item_views, user_views
from features.weights import weights_of
from recsys.catalogue import Catalogue
from recsys.exposure import Exposure
from recsys.forgetting.who import Who
from recsys.online_address import SQLITE
from recsys.schema import ITEM_ID, USER_ID
from recsys.state import ItemState, UserState
from recsys.workspace import Workspace


class BehaviourStore(OnlineBehaviour):
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
        super().__init__(folder, features, online_store=online_store, project=project)
        folder.mkdir(parents=True, exist_ok=True)
        self._snapshots = Snapshots(folder, features, weights)
        self.feast = open_project(folder, online_store=None)

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
        self._snapshots.keep_latest(moments)
        return len(missing)

    def forget_other_data(
        self,
        interactions: pl.DataFrame,
        catalogue: Catalogue,
        moments: Sequence[datetime] = (),
        *,
        impressions: pl.DataFrame | None = None,
        users: pl.DataFrame | None = None,
        settings: str = "",
    ) -> dict[datetime, str]:
        """Drop every snapshot that would be another one, computed from these tables as `snapshot` gets them.

        moments   of which there may be snapshots soon
        settings  what else snapshots depend on

        What was computed of days stays: each day says of itself what it was computed from. Returns for each moment a
        hash of all that its snapshot depends on (features.known_before).
        """
        all_moments = {*moments, *self._snapshots.moments()}
        tables = SnapshotTables(interactions, impressions, users)
        known = known_before(tables, catalogue, all_moments, self.features, settings=settings)
        self._snapshots.forget_other_data(known)
        return known

    def forget_snapshots(self) -> None:
        """Drop all of them; what was computed of days stays."""
        self._snapshots.forget_other_data({})

    def materialise(self, as_of: datetime) -> None:
        """Put the snapshot of a moment, and nothing else, into the online store, which then needs the snapshot no more.

        The new rows take the place of the old ones, so that no user or item of other data stays. A process that reads
        goes on: from SQLite with the rows that it began with, from Redis with the new ones.
        Raises FeatureStoreError when Redis does not answer; then the old rows serve on.
        """
        objects = feature_objects(self.folder, self.features)
        layouts = layouts_of(item_views(self.features) | user_views(self.features))
        fill(self._online, as_of, self._snapshots.neighbours(as_of), objects, layouts)

    def forget(self, who: Who) -> dict[str, int]:
        """Remove snapshots and days that know any of these users (features.snapshots); returns how many."""
        return self._snapshots.forget(who)

    # Reading for training: point in time, from the offline store

    def items_at(self, catalogue: Catalogue, as_of: datetime) -> ItemState:
        """Every item as it was known at `as_of`."""
        values, exposure = (
            self._join(view, ITEM_ID, catalogue.item_ids, as_of, fields).to_numpy().astype(np.float64)
            for view, fields in item_views(self.features).items()
        )
        file = self._snapshots.neighbours(as_of)
        neighbours, by = read_neighbours(file, catalogue), read_popularity_by(file, catalogue)
        columns, categories = self.features.item_columns, catalogue.categories_at(as_of)
        attributes = catalogue.attributes_at(as_of)
        shown = Exposure.of(self.features.exposure_columns, exposure)
        return ItemState(as_of.timestamp(), columns, values, neighbours, categories, attributes, shown, by)

    def users_at(self, user_ids: Sequence[str], catalogue: Catalogue, as_of: datetime) -> list[UserState]:
        """Each user as known at `as_of`, in the order given; the empty state for one never seen."""
        views = user_views(self.features)
        parts = [self._join(view, USER_ID, user_ids, as_of, fields) for view, fields in views.items()]
        rows = pl.concat(parts, how="horizontal")
        return [user_state(row, self.features, catalogue) for row in rows.iter_rows(named=True)]

    def _join(self, view: str, key: str, ids: Sequence[str], as_of: datetime, fields: Sequence[Field]) -> pl.DataFrame:
        """The fields of a view, a row for each id, in the order given."""
        columns = [field.name for field in fields]
        wanted = pl.DataFrame({key: ids}, schema={key: pl.String}).with_columns(pl.lit(as_of).alias(EVENT_TIMESTAMP))
        job = self.feast.get_historical_features(wanted, [f"{view}:{name}" for name in columns])
        assert isinstance(job, PolarsRetrievalJob)
        # Rows come out in the order in which they go in.
        found = job.to_polars().select(columns)
        known = self._snapshots.ids(view, key, as_of)
        if known is not None:
            # Of what a snapshot knows nothing Feast would give the row of an earlier one; the online store has none.
            there = known.join(wanted.lazy(), on=key, how="semi").collect()[key]
            is_known = wanted[key].is_in(there.implode())
            found = found.select(pl.when(is_known).then(pl.col(name)) for name in columns)
        return found.with_columns(pl.selectors.numeric().fill_null(np.nan))
