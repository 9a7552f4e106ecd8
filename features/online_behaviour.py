"""The features of a project as of the snapshot in its online store, for whoever serves: read without Feast."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from features.featureset import FeatureSet
from features.neighbours_file import read_neighbours, read_popularity_by
from features.online import Filling, OnlineFeatures
from features.packed.layout import RowLayout
from features.recent import Row
from features.rows import user_state
from features.stored_views import PROJECT, Views, item_views, user_views
from recsys.catalogue import Catalogue
from recsys.errors import FeatureStoreError
from recsys.exposure import Exposure
from recsys.forgetting.who import Who
from recsys.online_address import SQLITE
from recsys.schema import ITEM_ID, USER_ID
from recsys.state import ItemState, UserState
from recsys.workspace import Workspace

ITEMS_AT_ONCE = 20_000


class OnlineBehaviour:
    """Of one project."""

    def __init__(
        self, folder: Path, features: FeatureSet, *, online_store: str = SQLITE, project: str = PROJECT
    ) -> None:
        """`folder` of the features, `online_store` as in recsys.toml.

        Raises ConfigError or FeatureStoreError when the online store cannot be used. Projects that share a Redis are
        told apart by `project` in their keys.
        """
        self.folder = folder
        self.features = features
        self._online = OnlineFeatures(folder, online_store, project)
        self._items, self._users = layouts_of(item_views(features)), layouts_of(user_views(features))

    @classmethod
    def of(cls, workspace: Workspace) -> "OnlineBehaviour":
        """What the project's recsys.toml describes."""
        config = workspace.config
        features = FeatureSet.of_config(config)
        return cls(workspace.features, features, online_store=config.features.online_store, project=config.name)

    def forget_online(self, who: Who, *, thoroughly: bool) -> int:
        """Delete their rows in the online store (features.online); returns how many. Raises FeatureStoreError."""
        return self._online.forget(who, thoroughly=thoroughly)

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
        rows, shown = [np.empty((0, len(columns)))], [np.empty((0, len(of_exposure)))]
        for start in range(0, len(catalogue), ITEMS_AT_ONCE):
            ids = catalogue.item_ids[start : start + ITEMS_AT_ONCE]
            answer = self._online.read(self._items, ITEM_ID, ids)
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
        answer = self._online.read(self._users, USER_ID, user_ids)
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


def layouts_of(views: Views) -> Mapping[str, RowLayout]:
    """How the rows of each view are laid out."""
    return {
        view: RowLayout(PROJECT, view, [(field.name, field.kind) for field in fields]) for view, fields in views.items()
    }
