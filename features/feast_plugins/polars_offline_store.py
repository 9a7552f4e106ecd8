"""A Feast offline store on Parquet files that joins in time with Polars.

    offline_store:
      type: features.feast_plugins.polars_offline_store.PolarsOfflineStore

README.md beside this file says what it does and where it differs from Feast's own.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL, FeatureView
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig

from features.feast_plugins.polars_arrow import to_arrow
from features.feast_plugins.polars_entity_rows import EntityRows
from features.feast_plugins.polars_join import AT, CREATED, ORDER, latest
from features.feast_plugins.polars_retrieval_job import PolarsRetrievalJob
from features.feast_plugins.polars_source import ParquetFiles, epoch_microseconds, times
from features.feast_plugins.polars_view import ViewRequest, with_features

_OURS = (ORDER, AT, CREATED)


class PolarsOfflineStoreConfig(FeastConfigBaseModel):
    """Nothing but the type."""

    type: str = "features.feast_plugins.polars_offline_store.PolarsOfflineStore"


class PolarsOfflineStore(OfflineStore):
    """Reads FileSources of Parquet. Times are compared in microseconds; those without a time zone are UTC."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | pl.DataFrame | pa.Table | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> PolarsRetrievalJob:
        """Every row of the entity dataframe, in its order and with all its columns, and the features it could know.

        Raises ValueError or a FeastError when what was asked for cannot be answered.
        """
        entities = EntityRows(entity_df)
        requests = [
            ViewRequest.of(view, feature_refs, config.repo_path, full_feature_names=full_feature_names)
            for view in feature_views
        ]
        for request in requests:
            entities.require(request.keys.values())
            if taken := sorted(set(request.features.values()) & set(entities.table.column_names)):
                raise ValueError(
                    f"entity_df: found the columns {taken}, which are features of {request.name!r} as well; "
                    "rename or drop them, or ask for full_feature_names"
                )
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        keys = [name for name in entities.table.column_names if name != entities.timestamp]
        return PolarsRetrievalJob(
            partial(with_features, entities, requests, hide_late=filter_by_created_timestamp),
            repo_path=config.repo_path,
            full_feature_names=full_feature_names,
            on_demand_feature_views=on_demand,
            metadata=RetrievalMetadata(feature_refs, keys, *entities.span),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> PolarsRetrievalJob:
        """The last row of each key from `start_date` to `end_date`, both included."""
        columns = [*join_key_columns, *feature_name_columns]

        def evaluate() -> pa.Table:
            rows = _pulled(
                config, data_source, columns, timestamp_field, created_timestamp_column, start_date, end_date
            ).collect()
            return to_arrow(_keyed(rows[latest(rows, join_key_columns)].drop(_OURS), join_key_columns))

        return PolarsRetrievalJob(evaluate, repo_path=config.repo_path)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> PolarsRetrievalJob:
        """All rows from `start_date` to `end_date`, both included; None: from the first, to the last."""
        columns = [*join_key_columns, *feature_name_columns]

        def evaluate() -> pa.Table:
            rows = _pulled(
                config, data_source, columns, timestamp_field, created_timestamp_column, start_date, end_date
            )
            return to_arrow(_keyed(rows.drop(_OURS).collect(), join_key_columns))

        return PolarsRetrievalJob(evaluate, repo_path=config.repo_path)

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Add rows to the source of a feature view. Raises ValueError when they have other columns than it."""
        owner = f"feature view {feature_view.name!r}"
        ParquetFiles(feature_view.batch_source, config.repo_path, owner=owner).append(table)
        if progress:
            progress(table.num_rows)

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """Add a table, or the Parquet at a path, to the folder that the logging configuration names."""
        destination = logging_config.destination
        if not isinstance(destination, FileLoggingDestination):
            raise ValueError(
                f"logged features: found a {type(destination).__name__}, expected a FileLoggingDestination; "
                "change the logging_config of the feature service"
            )
        files = ParquetFiles(destination.to_data_source(), config.repo_path, owner="logged features")
        files.append_part(pq.read_table(data) if isinstance(data, Path) else data, destination.partition_by)

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """The columns of a source with their Arrow types: a folder and a glob as well, which Feast reads in part."""
        schema = ParquetFiles(data_source, config.repo_path, owner=f"source {data_source.name!r}").schema()
        return zip(schema.names, map(str, schema.types), strict=True)


def _pulled(
    config: RepoConfig,
    source: DataSource,
    columns: list[str],
    timestamp: str,
    created: str | None,
    start: datetime | None,
    end: datetime | None,
) -> pl.LazyFrame:
    """The columns as the files call them and those of ours, which `latest` reads."""
    files = ParquetFiles(source, config.repo_path, owner=f"source {source.name!r}")
    names = dict.fromkeys([*columns, timestamp, *([created] if created else [])])
    rows = files.scan([*map(pl.col, names), *times(pl.col(timestamp), pl.col(created) if created else None)])
    if start:
        rows = rows.filter(pl.col(AT) >= epoch_microseconds(start))
    if end:
        rows = rows.filter(pl.col(AT) <= epoch_microseconds(end))
    return rows.filter(pl.col(AT).is_not_null())


def _keyed(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """With the key under which Feast keeps a view without entities online."""
    return rows if keys else rows.with_columns(pl.lit(DUMMY_ENTITY_VAL).alias(DUMMY_ENTITY_ID))
