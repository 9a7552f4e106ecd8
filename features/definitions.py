"""The features in Feast's terms: entities, views and the one feature service, `ranking`.

Each view is a folder of Parquet snapshots (features.store writes them): a row is what was known of one user or item
strictly before `event_timestamp`. Times are seconds since the epoch; ages are computed at the moment of the request.
"""

from pathlib import Path
from typing import Final

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import String

from features.featureset import FeatureSet
from recsys.schema import ITEM_ID, USER_ID

EVENT_TIMESTAMP: Final = "event_timestamp"

ITEM_VIEW: Final = "item_behaviour"
EXPOSURE_VIEW: Final = "item_exposure"
USER_VIEW: Final = "user_behaviour"
HISTORY_VIEW: Final = "user_history"
AFFINITY_VIEW: Final = "user_affinity"
ATTRIBUTES_VIEW: Final = "user_attributes"
SERVICE: Final = "ranking"


def feature_objects(folder: Path, features: FeatureSet) -> list[Entity | FeatureView | FeatureService]:
    """Everything to apply to a Feast registry; the snapshots lie in `folder`/VIEW/*.parquet."""
    user = Entity(name="user", join_keys=[USER_ID], value_type=ValueType.STRING)
    item = Entity(name="item", join_keys=[ITEM_ID], value_type=ValueType.STRING)
    views = [
        _view(folder, ITEM_VIEW, item, features.item_fields),
        _view(folder, EXPOSURE_VIEW, item, features.exposure_fields),
        _view(folder, USER_VIEW, user, features.user_fields),
        _view(folder, HISTORY_VIEW, user, features.history_fields),
        _view(folder, AFFINITY_VIEW, user, features.affinity_fields),
    ]
    if features.attribute_fields:
        views.append(_view(folder, ATTRIBUTES_VIEW, user, features.attribute_fields))
    return [user, item, *views, FeatureService(name=SERVICE, features=list(views))]


def _view(folder: Path, name: str, entity: Entity, fields: tuple[Field, ...]) -> FeatureView:
    source = FileSource(
        name=f"{name}_snapshots",
        path=str(folder / name / "*.parquet"),
        file_format=ParquetFormat(),
        timestamp_field=EVENT_TIMESTAMP,
    )
    key = Field(name=entity.join_key, dtype=String)
    return FeatureView(name=name, entities=[entity], schema=[key, *fields], source=source)
