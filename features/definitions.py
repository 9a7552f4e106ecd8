"""The features in Feast's terms: entities, views and the one feature service, `ranking`.

Each view is a folder of Parquet snapshots (features.store writes them): a row is what was known of one user or item
strictly before `event_timestamp`. Times are seconds since the epoch; ages are computed at the moment of the request.
"""

from pathlib import Path
from typing import Final

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Array, Float32, Float64, String

from recsys.schema import ITEM_ID, USER_ID

EVENT_TIMESTAMP: Final = "event_timestamp"

ITEM_VIEW: Final = "item_behaviour"
USER_VIEW: Final = "user_behaviour"
HISTORY_VIEW: Final = "user_history"
SERVICE: Final = "ranking"

# An occasion is a moment at which a user interacted: a basket, a page view. Equal timestamps are one occasion.
# Every field is a count, a sum, the earliest or the latest, so that whoever has a row can add to it what came later;
# features.assembler makes shares and means of them.
ITEM_FIELDS: Final = (
    Field(name="users_7d", dtype=Float32, description="distinct users in the last 7 days"),
    Field(name="users_28d", dtype=Float32, description="distinct users in the last 28 days"),
    Field(name="users_90d", dtype=Float32, description="distinct users in the last 90 days"),
    Field(name="users", dtype=Float32, description="distinct users ever"),
    Field(name="occasions_28d", dtype=Float32, description="occasions in the last 28 days"),
    Field(name="weight_28d", dtype=Float32, description="sum of the weights of the interactions in the last 28 days"),
    Field(name="returned", dtype=Float32, description="of its users those with it on more than one occasion"),
    Field(name="value_sum", dtype=Float64, description="sum of the values of the interactions with it"),
    Field(name="value_count", dtype=Float64, description="interactions with it that have a value"),
    Field(name="first_at", dtype=Float64, description="first interaction, seconds since the epoch"),
    Field(name="last_at", dtype=Float64, description="last interaction, seconds since the epoch"),
)
USER_FIELDS: Final = (
    Field(name="occasions_28d", dtype=Float32, description="occasions in the last 28 days"),
    Field(name="occasions_90d", dtype=Float32, description="occasions in the last 90 days"),
    Field(name="occasions", dtype=Float32, description="occasions ever"),
    Field(name="distinct_items", dtype=Float32, description="distinct items ever"),
    Field(name="pairs", dtype=Float32, description="distinct pairs of an occasion and an item"),
    Field(name="value_sum", dtype=Float64, description="sum of the values of the interactions"),
    Field(name="value_count", dtype=Float64, description="interactions that have a value"),
    Field(name="first_at", dtype=Float64, description="first interaction, seconds since the epoch"),
    Field(name="last_at", dtype=Float64, description="last interaction, seconds since the epoch"),
)
HISTORY_FIELDS: Final = (
    Field(name="history_items", dtype=Array(String), description="distinct items, the latest first"),
    Field(name="history_occasions", dtype=Array(Float64), description="occasions with each of them"),
    Field(name="history_first_at", dtype=Array(Float64), description="first interaction with each, seconds"),
    Field(name="history_last_at", dtype=Array(Float64), description="last interaction with each, seconds"),
    Field(name="history_types", dtype=Array(String), description="interaction type of the highest weight with each"),
)


def feature_objects(folder: Path) -> list[Entity | FeatureView | FeatureService]:
    """Everything to apply to a Feast registry; the snapshots lie in `folder`/VIEW/*.parquet."""
    user = Entity(name="user", join_keys=[USER_ID], value_type=ValueType.STRING)
    item = Entity(name="item", join_keys=[ITEM_ID], value_type=ValueType.STRING)
    views = [
        _view(folder, ITEM_VIEW, item, ITEM_FIELDS),
        _view(folder, USER_VIEW, user, USER_FIELDS),
        _view(folder, HISTORY_VIEW, user, HISTORY_FIELDS),
    ]
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
