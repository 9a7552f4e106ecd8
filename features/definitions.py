"""The features in Feast's terms: entities, views and the one feature service, `ranking`.

Each view is a folder of Parquet snapshots (features.store writes them): a row is what was known of one user or item
strictly before `event_timestamp`. Times are seconds since the epoch; ages are computed at the moment of the request.
"""

from pathlib import Path
from typing import Final

from feast import Entity, FeatureService, FeatureView, FileSource, ValueType
from feast import Field as FeastField
from feast.data_format import ParquetFormat
from feast.types import Array, FeastType, Float32, Float64, String

from features.featureset import FeatureSet
from features.field import FLOAT32, FLOAT64, FLOATS, STRING, STRINGS, Field
from features.stored_views import EVENT_TIMESTAMP, item_views, user_views
from recsys.schema import ITEM_ID, USER_ID

SERVICE: Final = "ranking"

TYPES: Final[dict[str, FeastType]] = {
    FLOAT32: Float32,
    FLOAT64: Float64,
    STRING: String,
    STRINGS: Array(String),
    FLOATS: Array(Float64),
}


def feature_objects(folder: Path, features: FeatureSet) -> list[Entity | FeatureView | FeatureService]:
    """Everything to apply to a Feast registry; the snapshots lie in `folder`/VIEW/*.parquet."""
    user = Entity(name="user", join_keys=[USER_ID], value_type=ValueType.STRING)
    item = Entity(name="item", join_keys=[ITEM_ID], value_type=ValueType.STRING)
    views = [
        _view(folder, name, entity, fields)
        for entity, named in ((item, item_views(features)), (user, user_views(features)))
        for name, fields in named.items()
    ]
    return [user, item, *views, FeatureService(name=SERVICE, features=list(views))]


def _view(folder: Path, name: str, entity: Entity, fields: tuple[Field, ...]) -> FeatureView:
    source = FileSource(
        name=f"{name}_snapshots",
        path=str(folder / name / "*.parquet"),
        file_format=ParquetFormat(),
        timestamp_field=EVENT_TIMESTAMP,
    )
    key = FeastField(name=entity.join_key, dtype=String)
    schema = [FeastField(name=field.name, dtype=TYPES[field.kind], description=field.description) for field in fields]
    return FeatureView(name=name, entities=[entity], schema=[key, *schema], source=source)
