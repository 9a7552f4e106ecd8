"""Small Feast projects over any online store."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import FeastType, Float32, Float64, Int64, String

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

ITEM = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
FIELDS = {"price": Float32, "exact": Float64, "count": Int64, "title": String}
TYPES = {"item_id": String, "user_id": Int64}


def open_store(folder: Path, online: Mapping[str, Any], *, project: str = "shop") -> FeatureStore:
    """A project in a folder; opened twice, as two processes would."""
    logging.getLogger("feast").setLevel(logging.ERROR)
    folder.mkdir(exist_ok=True)
    return FeatureStore(
        config=RepoConfig(
            project=project,
            provider="local",
            registry={"path": str(folder / "registry.db"), "cache_mode": "thread", "cache_ttl_seconds": 3600},
            online_store=dict(online),
            offline_store={"type": "duckdb"},
            entity_key_serialization_version=3,
            repo_path=folder,
        )
    )


def view(
    name: str = "items",
    fields: Mapping[str, FeastType] | None = None,
    *,
    entities: Sequence[Entity] = (ITEM,),
    path: Path = Path("nothing.parquet"),
) -> FeatureView:
    """A view with these features."""
    keys = [Field(name=key, dtype=TYPES[key]) for entity in entities for key in [entity.join_key]]
    features = [Field(name=feature, dtype=dtype) for feature, dtype in (fields or FIELDS).items()]
    source = FileSource(name=f"{name}_source", path=str(path), timestamp_field="event_timestamp")
    return FeatureView(name=name, entities=list(entities), schema=[*keys, *features], source=source)


def key(**values: str | int) -> EntityKey:
    """An entity key of strings and integers."""
    protos = [Value(string_val=each) if isinstance(each, str) else Value(int64_val=each) for each in values.values()]
    return EntityKey(join_keys=list(values), entity_values=protos)


def item_values(
    *, price: float | None = 1.5, exact: float = 0.1, count: int = 7, title: str = "cup"
) -> dict[str, Value]:
    """The values of an item in FIELDS."""
    return {
        "price": Value() if price is None else Value(float_val=price),
        "exact": Value(double_val=exact),
        "count": Value(int64_val=count),
        "title": Value(string_val=title),
    }


def write(
    store: FeatureStore, entity: EntityKey, values: dict[str, Value], moment: datetime = NOON, *, view: str = "items"
) -> None:
    """Write one row past the offline store."""
    store._get_provider().online_write_batch(
        store.config, store.get_feature_view(view), [(entity, values, moment, None)], None
    )


def price_of(store: FeatureStore, item: str = "a") -> float | None:
    """The price of one item, as stored."""
    found: float | None = store.get_online_features(["items:price"], [{"item_id": item}]).to_dict()["price"][0]
    return found
