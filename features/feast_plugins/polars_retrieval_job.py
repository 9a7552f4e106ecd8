"""What a retrieval of the Polars offline store returns: nothing is read before one of its methods asks for rows."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import FileSource, SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage

from features.feast_plugins.polars_source import write_whole


class PolarsRetrievalJob(RetrievalJob):
    """Rows to be computed. Each call computes them anew."""

    def __init__(
        self,
        evaluate: Callable[[], pa.Table],
        *,
        repo_path: Path | None,
        full_feature_names: bool = False,
        on_demand_feature_views: Sequence[OnDemandFeatureView] = (),
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        """evaluate: computes the rows without on-demand features, which Feast adds."""
        self._evaluate = evaluate
        self._repo_path = repo_path
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = list(on_demand_feature_views)
        self._metadata = metadata

    def to_polars(self) -> pl.DataFrame:
        """The rows with on-demand features."""
        frame = pl.from_arrow(self.to_arrow())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write the rows with on-demand features to a file, or into a folder when the path does not end in .parquet.

        Raises ValueError unless the storage is of local files, SavedDatasetLocationAlreadyExists when it is taken.
        """
        if not isinstance(storage, SavedDatasetFileStorage):
            raise ValueError(
                f"saved dataset: found a {type(storage).__name__}, expected a SavedDatasetFileStorage; "
                "give one with a local path"
            )
        path = FileSource.get_uri_for_file_path(self._repo_path, storage.file_options.uri)
        if "://" in path:
            raise ValueError(f"saved dataset: found {path}, expected a local path; copy the file there afterwards")
        if not allow_overwrite and Path(path).exists():
            raise SavedDatasetLocationAlreadyExists(location=path)
        table = self.to_arrow(timeout=timeout)
        if path.endswith(".parquet"):
            write_whole(table, Path(path))
        else:
            pq.write_to_dataset(table, path, existing_data_behavior="delete_matching")

    @property
    def full_feature_names(self) -> bool:
        """Whether a feature is called VIEW__FEATURE."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """Those that Feast has still to compute."""
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """What was asked for; None for a pull."""
        return self._metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._evaluate()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._evaluate().to_pandas()
