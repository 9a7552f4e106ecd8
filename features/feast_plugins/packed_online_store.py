"""What the packed online stores share: everything but where the rows lie.

A store keeps one binary row (packed_row) an entity and view, and reads all entities of a view in one query. Feast's own
path (`online_read`) works as for any store; `get_online_features` goes past it where it can and answers with numpy.
"""

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from feast import Entity, FeatureService, FeatureView, RepoConfig, utils
from feast.errors import FeastError
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.registry.base_registry import BaseRegistry
from feast.online_response import OnlineResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from features.feast_plugins.packed_keys import unique_keys
from features.feast_plugins.packed_response import PackedOnlineResponse, ViewRows
from features.feast_plugins.packed_row import EPOCH, PackedRows, RowLayout, layout_of

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
Wanted = tuple[RowLayout, Sequence[bytes]]
"""Entity keys of one view."""


class OnlineStoreUnavailableError(FeastError, ConnectionError):
    """The store cannot be reached, or does not answer in time. The next call tries again."""

    def http_status_code(self) -> int:
        """What `feast serve` answers: service unavailable."""
        return 503


class OnlineStoreSchemaError(FeastError):
    """The store has no place for a view of this schema."""


class PackedOnlineStore(OnlineStore):
    """A Feast online store of packed rows. A subclass says where they lie."""

    # Rows of another version of a view have another layout, or mean the same.
    _versioned_read_supported = False

    def __init__(self) -> None:
        super().__init__()
        self._contexts: dict[tuple[Any, ...], tuple[datetime | None, tuple[Any, ...]]] = {}

    @abstractmethod
    def read_rows(self, config: RepoConfig, wanted: Sequence[Wanted]) -> list[list[bytes | None]]:
        """The rows of the entities wanted of each view, in this order, in one query a view or fewer; None where there
        is none.
        """

    @abstractmethod
    def write_rows(self, config: RepoConfig, layout: RowLayout, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep each (key, row), unless the row there has a later event timestamp; on equal ones the later write wins.

        When this returns, the rows are kept; each entity changes at once.
        """

    @abstractmethod
    def create(self, config: RepoConfig, layout: RowLayout) -> None:
        """Make place for the rows of a view, unless there is."""

    @abstractmethod
    def delete(self, config: RepoConfig, view: str) -> None:
        """Delete the rows of a view, of whatever schema."""

    @abstractmethod
    def all_keys(self, config: RepoConfig) -> Iterator[bytes]:
        """The key of every entity with a row in any view, of whatever schema: again for each of its views."""

    @abstractmethod
    def delete_keys(self, config: RepoConfig, keys: Sequence[bytes]) -> int:
        """Delete the rows of some entities in every view, of whatever schema; returns how many there were."""

    @abstractmethod
    def overwrite_deleted(self, config: RepoConfig) -> None:
        """Leave nothing of deleted rows where rows lie, as far as the store can."""

    @abstractmethod
    def disconnect(self) -> None:
        """Close the connections; the next call opens them."""

    # Feast's interface

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows; one with an older event timestamp than the row there is dropped."""
        layout = _layout(config, table)
        rows = [(_key(config, key), layout.encode(values, moment)) for key, values, moment, _ in data]
        if rows:
            self.write_rows(config, layout, rows)
        if progress:
            progress(len(rows))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Each entity's event timestamp and values; (None, None) for one that is not there."""
        if not entity_keys:
            return []
        layout = _layout(config, table)
        names = [name for name in requested_features or layout.types if name in layout.types]
        (found,) = self.read_rows(config, [(layout, [_key(config, key) for key in entity_keys])])
        rows = PackedRows(layout, found)
        columns = [rows.values(name) for name in names]
        return [
            (
                EPOCH + timedelta(microseconds=micros),
                {name: column[at] for name, column in zip(names, columns, strict=True)},
            )
            if there
            else (None, None)
            for at, (micros, there) in enumerate(zip(rows.microseconds(), rows.found, strict=True))
        ]

    def _request_context(
        self, registry: BaseRegistry, project: str, features: list[str] | FeatureService, full_names: bool
    ) -> tuple[Any, ...]:
        """What Feast looks up in its registry for a request; kept as long as the registry that was read is valid.

        Feast keeps it for one registry of the process: two stores that are asked in turn would look it up each time.
        """
        name = features.name if isinstance(features, FeatureService) else tuple(features)
        key = (project, name, full_names)
        known = self._contexts.get(key)
        # Registries that say nothing of it, bool() stands for them, are asked each time.
        if known and known[0] == _read_at(registry) and getattr(registry, "is_cache_valid", bool)():
            return known[1]
        found: tuple[Any, ...] = utils._get_cached_request_context(registry, project, features, full_names)
        self._contexts[key] = _read_at(registry), found
        return found

    def get_online_features(
        self,
        config: RepoConfig,
        features: list[str] | FeatureService,
        entity_rows: list[dict[str, Any]] | Mapping[str, Any],
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> OnlineResponse:
        """The features of every entity row, as a PackedOnlineResponse.

        Feast's own path answers, more slowly, for what needs its machinery: on-demand views, request data, views
        without entities, precomputed vectors, version metadata; and for entity rows that lack a join key.
        """
        context = self._request_context(registry, project, features, full_feature_names)
        _, on_demand, _, entity_types, join_keys, grouped, _, request_data, without_entities = context
        columns = _columns(entity_rows, join_keys)
        owned = [_join_keys(view) for view, _ in grouped]
        if (
            on_demand
            or request_data
            or without_entities
            or include_feature_view_version_metadata
            or getattr(features, "precompute_online", False)
            or config.entity_key_serialization_version != 3
            or columns is None
            or not columns.keys() >= {alias for own in owned for alias in own.values()}
        ):
            return super().get_online_features(
                config,
                features,
                entity_rows,
                registry,
                project,
                full_feature_names,
                include_feature_view_version_metadata,
            )
        self._check_versioned_read_support(grouped)  # type: ignore[no-untyped-call]
        started = time.monotonic()
        wanted, indexes = [], []
        for (view, _), own in zip(grouped, owned, strict=True):
            keys, index = unique_keys(
                {key: columns[alias] for key, alias in own.items()},
                {key: entity_types[alias] for key, alias in own.items() if alias in entity_types},
            )
            wanted.append((_layout(config, view), keys))
            indexes.append(index)
        views = []
        found = self.read_rows(config, wanted)
        for (view, names), (layout, _), rows, index in zip(grouped, wanted, found, indexes, strict=True):
            prefix = f"{view.projection.name_to_use()}__" if full_feature_names else ""
            views.append(ViewRows({f"{prefix}{name}": name for name in names}, PackedRows(layout, rows), index))
        _count(views, time.monotonic() - started)
        return PackedOnlineResponse(columns, entity_types, views)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Make place for the views to keep, delete the others.

        Rows of a kept view's former schema stay: a process that has not yet read the new registry goes on with them.
        """
        for table in tables_to_delete:
            self.delete(config, table.name)
        for table in tables_to_keep:
            self.create(config, _layout(config, table))

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Delete every view's rows."""
        for table in tables:
            self.delete(config, table.name)

    async def close(self) -> None:
        """`disconnect`, as Feast calls it."""
        self.disconnect()

    # The asynchronous half: the same calls in a thread

    async def online_write_batch_async(self, *args: Any, **kwargs: Any) -> None:
        """`online_write_batch` in a thread."""
        await asyncio.to_thread(self.online_write_batch, *args, **kwargs)

    async def online_read_async(
        self, *args: Any, **kwargs: Any
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """`online_read` in a thread."""
        return await asyncio.to_thread(self.online_read, *args, **kwargs)

    async def get_online_features_async(self, *args: Any, **kwargs: Any) -> OnlineResponse:
        """`get_online_features` in a thread."""
        return await asyncio.to_thread(self.get_online_features, *args, **kwargs)


def _read_at(registry: BaseRegistry) -> datetime | None:
    """When the copy of the registry that is in memory was read."""
    return getattr(registry, "cached_registry_proto_created", None)


def _layout(config: RepoConfig, view: FeatureView) -> RowLayout:
    return layout_of(config.project, view.name, tuple((field.name, field.dtype) for field in view.features))


def _key(config: RepoConfig, key: EntityKey) -> bytes:
    return serialize_entity_key(key, entity_key_serialization_version=config.entity_key_serialization_version)


def _join_keys(view: FeatureView) -> dict[str, str]:
    """The join keys of a view, and what each is called in the entity rows."""
    return {key: view.projection.join_key_map.get(key, key) for key in view.join_keys}


def _columns(entity_rows: Any, join_keys: set[str]) -> dict[str, list[Any]] | None:
    """The values of each join key that the entity rows hold; None unless they are alike and of one length."""
    if isinstance(entity_rows, list):
        names = entity_rows[0].keys() if entity_rows else set()
        if any(row.keys() != names for row in entity_rows):
            return None
        return {name: [row[name] for row in entity_rows] for name in names if name in join_keys} or None
    if not all(isinstance(values, Sequence) for values in entity_rows.values()):
        return None
    columns = {name: list(values) for name, values in entity_rows.items()}
    if len({len(values) for values in columns.values()}) != 1 or not all(columns.values()):
        return None
    return {name: values for name, values in columns.items() if name in join_keys} or None


def _count(views: Sequence[ViewRows], seconds: float) -> None:
    """Feast's own metrics, which its path counts in the same places."""
    from feast import metrics  # as late as Feast does: importing it prepares files for Prometheus

    if not metrics._config.online_features:
        return
    metrics.track_online_store_read(seconds)
    for view in views:
        found = int(view.rows.found[view.index].sum()) * len(view.names)
        metrics.track_feature_statuses(view.rows.layout.view, found, len(view.index) * len(view.names) - found)
