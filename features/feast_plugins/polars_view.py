"""What is asked of one feature view, and its answer for every entity row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView

from features.feast_plugins.polars_arrow import to_arrow
from features.feast_plugins.polars_entity_rows import EntityRows
from features.feast_plugins.polars_join import AT, latest_seen
from features.feast_plugins.polars_source import ParquetFiles, times


@dataclass(frozen=True)
class ViewRequest:
    """The features wanted of one view. `keys` are entity columns by join key, `features` output names by feature."""

    name: str
    files: ParquetFiles
    timestamp: str
    created: str | None
    keys: Mapping[str, str]
    features: Mapping[str, str]
    ttl: timedelta | None

    @classmethod
    def of(
        cls, view: FeatureView, feature_refs: Sequence[str], repo_path: Path | None, *, full_feature_names: bool
    ) -> "ViewRequest":
        """What the references VIEW:FEATURE ask of this view. Raises ValueError when its source cannot be read here."""
        source = view.batch_source
        files = ParquetFiles(source, repo_path, owner=f"feature view {view.name!r}")
        assert source is not None  # Else it would have been refused.
        projection = view.projection
        called: str = projection.name_to_use()  # type: ignore[no-untyped-call]
        asked = f"{called}:"
        prefix = f"{projection.name_alias or view.name}__" if full_feature_names else ""
        names = [reference.removeprefix(asked) for reference in feature_refs if reference.startswith(asked)]
        keys = [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
        return cls(
            name=called,
            files=files,
            timestamp=source.timestamp_field,
            created=source.created_timestamp_column or None,
            keys={key: projection.join_key_map.get(key, key) for key in keys},
            features={name: prefix + name for name in names},
            ttl=view.ttl or None,
        )

    def answer(self, entities: EntityRows, *, hide_late: bool) -> pa.Table:
        """The features by output name, a row for each entity row; null where the view knew nothing."""
        ttl = None if self.ttl is None else self.ttl // timedelta(microseconds=1)
        column = self.files.column
        keys = {f"__key_{at}": key for at, key in enumerate(self.keys)}
        history = self.files.scan(
            [
                *times(column(self.timestamp), column(self.created) if self.created else None),
                *(column(key).alias(name) for name, key in keys.items()),
                *(column(feature).alias(output) for feature, output in self.features.items()),
            ]
        )
        kinds = history.collect_schema()
        moments = entities.moments([(name, self.keys[key], kinds[name]) for name, key in keys.items()])
        rows = _within_reach(history, moments, list(keys), ttl).collect()
        seen = latest_seen(moments, rows, list(keys), ttl=ttl, hide_late=hide_late and self.created is not None)
        # One at a time, so that the rows as read and as answered are never both there as a whole.
        answered = [rows.drop_in_place(name).gather(seen) for name in self.features.values()]
        return to_arrow(pl.DataFrame(answered))


def with_features(entities: EntityRows, requests: Sequence[ViewRequest], *, hide_late: bool) -> pa.Table:
    """The entity rows in their order, and behind their columns the features of every view."""
    table = entities.table
    for request in requests:
        answer = request.answer(entities, hide_late=hide_late)
        for name in answer.column_names:
            table = table.append_column(name, answer.column(name))
    return table


def _within_reach(history: pl.LazyFrame, moments: pl.DataFrame, keys: Sequence[str], ttl: int | None) -> pl.LazyFrame:
    """The rows that some moment could see: of its keys, not after the last moment, not expired before the first."""
    first, last = moments[AT].min(), moments[AT].max()
    if not isinstance(first, int) or not isinstance(last, int):
        return history.clear()
    history = history.filter(pl.col(AT) <= last)
    if ttl is not None:
        history = history.filter(pl.col(AT) >= first - ttl)
    if keys:
        asked = moments.lazy().select(keys).unique()
        history = history.join(asked, on=keys, how="semi")
    return history
