"""Random feature views and entity dataframes, and how two Feast offline stores answer them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import polars as pl
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.types import Float64, Int64, String

POLARS = "features.feast_plugins.polars_offline_store.PolarsOfflineStore"
DUCKDB = "duckdb"
START = datetime(2024, 3, 30, 20, tzinfo=UTC)
"""Five hours before the clocks of Berlin change."""

ZONES = (None, "UTC", "Europe/Berlin", "America/St_Johns")
TTLS = (None, timedelta(0), timedelta(minutes=10), timedelta(hours=3))
UNITS: tuple[Literal["us", "ns", "ms"], ...] = ("us", "ns", "ms")
STEP = timedelta(minutes=10)
"""Times are multiples of it, so that many are equal and many lie exactly a ttl apart."""


def feast_store(folder: Path, offline_store: str) -> FeatureStore:
    """A store with a registry of its own in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return FeatureStore(
        config=RepoConfig(
            project="cases",
            provider="local",
            registry=str(folder / f"{offline_store.rpartition('.')[2]}.db"),
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            offline_store={"type": offline_store},
            entity_key_serialization_version=3,
            repo_path=folder,
        )
    )


@dataclass(frozen=True)
class Case:
    """Views to apply, what is asked of them, and for whom; `row` numbers the rows of `entity_df`."""

    objects: list[Any]
    references: list[str]
    entity_df: pd.DataFrame
    full_feature_names: bool
    filter_by_created_timestamp: bool

    def ask(self, store: FeatureStore) -> RetrievalJob:
        """Apply the views and ask."""
        store.apply(self.objects)
        return store.get_historical_features(
            self.entity_df,
            self.references,
            full_feature_names=self.full_feature_names,
            filter_by_created_timestamp=self.filter_by_created_timestamp,
        )


def random_case(folder: Path, seed: int) -> Case:
    """One or two views, of one key and of two, with ties, late and expired rows, nulls, and times of any zone."""
    random = np.random.default_rng(seed)
    folder = folder / str(seed)
    folder.mkdir(parents=True)
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
    both = bool(random.random() < 0.5)
    entities = [[user], [user, item]] if both else [[[user], [item], [user, item]][random.integers(3)]]
    views = [_view(random, folder, f"view_{at}", keys) for at, keys in enumerate(entities)]
    return Case(
        objects=[user, item, *views],
        references=[f"{view.name}:{field.name}" for view in views for field in view.features],
        entity_df=_entity_df(random),
        full_feature_names=both or bool(random.random() < 0.5),
        filter_by_created_timestamp=bool(random.random() < 0.5),
    )


def differences(ours: pd.DataFrame, theirs: pd.DataFrame, case: Case) -> list[str]:
    """What differs between two answers, whatever their order; nothing when they are the same."""
    if sorted(ours.columns) != sorted(theirs.columns):
        return [f"columns {sorted(ours.columns)} and {sorted(theirs.columns)}"]
    if len(ours) != len(theirs) or len(ours) != len(case.entity_df):
        return [f"{len(ours)} and {len(theirs)} rows for {len(case.entity_df)}"]
    ours, theirs = ours.sort_values("row"), theirs.sort_values("row")
    names = [name for name in ours.columns if name != "event_timestamp"]
    return [name for name in names if _values(ours[name]) != _values(theirs[name])]


def _view(random: np.random.Generator, folder: Path, name: str, entities: list[Entity]) -> FeatureView:
    rows = int(random.integers(0, 60))
    keys = [entity.join_key for entity in entities]
    times = ["at", "created"] if random.random() < 0.6 else ["at"]
    at = [None if random.random() < 0.05 else _moment(random) for _ in range(rows)]
    created = [at and (None if random.random() < 0.1 else at + STEP * int(random.integers(0, 12))) for at in at]
    frame = pl.DataFrame(
        {
            "user_id": pl.Series(_users(random, rows), dtype=pl.Int64),
            "item_id": pl.Series(_items(random, rows), dtype=pl.String),
            "at": pl.Series(at, dtype=pl.Datetime("us", "UTC")),
            "created": pl.Series(created, dtype=pl.Datetime("us", "UTC")),
            "number": pl.Series(range(rows), dtype=pl.Int64),
            "value": pl.Series([None if number % 4 == 0 else number / 8 for number in range(rows)], dtype=pl.Float64),
            "label": pl.Series([None if number % 5 == 0 else f"v{number}" for number in range(rows)], dtype=pl.String),
        }
    )
    # Which of two rows with equal times counts is not said: let there be one.
    frame = frame.unique([*keys, *times], maintain_order=True)
    for time in times:
        zone, unit = ZONES[random.integers(len(ZONES))], UNITS[random.integers(len(UNITS))]
        moment = pl.col(time).dt.cast_time_unit(unit)
        frame = frame.with_columns(moment.dt.convert_time_zone(zone) if zone else moment.dt.replace_time_zone(None))
    path = folder / f"{name}.parquet"
    frame.select(*keys, *times, "number", "value", "label").write_parquet(path)
    kinds = {"user_id": Int64, "item_id": String, "number": Int64, "value": Float64, "label": String}
    return FeatureView(
        name=name,
        entities=entities,
        ttl=TTLS[random.integers(len(TTLS))],
        schema=[Field(name=column, dtype=kinds[column]) for column in (*keys, "number", "value", "label")],
        source=FileSource(
            name=f"{name}_source",
            path=str(path),
            timestamp_field="at",
            created_timestamp_column="created" if "created" in times else "",
        ),
    )


def _entity_df(random: np.random.Generator) -> pd.DataFrame:
    rows = int(random.integers(1, 40))
    zones = [ZONES[random.integers(len(ZONES))]] * rows
    if random.random() < 0.3:
        zones = [ZONES[random.integers(1, len(ZONES))] for _ in range(rows)]
    moments = [pd.Timestamp(_moment(random)) for _ in range(rows)]
    local = [
        moment.tz_convert(zone) if zone else moment.tz_localize(None)
        for moment, zone in zip(moments, zones, strict=True)
    ]
    frame = pd.DataFrame(
        {
            "row": range(rows),
            # Whole numbers with gaps are floats to pandas.
            "user_id": pd.Series(_users(random, rows), dtype="float64" if random.random() < 0.5 else "Int64"),
            "item_id": pd.Series(_items(random, rows), dtype="object"),
            "event_timestamp": pd.Series(local, dtype=None if len(set(zones)) == 1 else "object"),
            "weight": random.random(rows),
        }
    )
    # Some rows are there twice.
    frame = pd.concat([frame, frame.sample(frac=0.2, random_state=random)], ignore_index=True)
    return frame.assign(row=range(len(frame)))


def _moment(random: np.random.Generator) -> datetime:
    return START + STEP * int(random.integers(0, 60))


def _users(random: np.random.Generator, rows: int) -> list[int | None]:
    return [None if random.random() < 0.05 else int(random.integers(0, 4)) for _ in range(rows)]


def _items(random: np.random.Generator, rows: int) -> list[str | None]:
    return [None if random.random() < 0.05 else "abc"[random.integers(3)] for _ in range(rows)]


def _values(column: pd.Series) -> list[Any]:
    return [None if pd.isna(value) else value for value in column]
