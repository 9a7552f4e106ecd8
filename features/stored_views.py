"""The views of the feature store by their names: what is kept of an item, and what of a user."""

from typing import Final

from features.featureset import FeatureSet
from features.field import Field

PROJECT: Final = "recsys"
"""The name of the project in Feast, and a part of the names of packed rows."""

EVENT_TIMESTAMP: Final = "event_timestamp"

ITEM_VIEW: Final = "item_behaviour"
EXPOSURE_VIEW: Final = "item_exposure"
USER_VIEW: Final = "user_behaviour"
HISTORY_VIEW: Final = "user_history"
AFFINITY_VIEW: Final = "user_affinity"
ATTRIBUTES_VIEW: Final = "user_attributes"

Views = dict[str, tuple[Field, ...]]
"""The fields of each."""


def item_views(features: FeatureSet) -> Views:
    return {ITEM_VIEW: features.item_fields, EXPOSURE_VIEW: features.exposure_fields}


def user_views(features: FeatureSet) -> Views:
    """In the order of features.row_columns."""
    views = {
        USER_VIEW: features.user_fields,
        HISTORY_VIEW: features.history_fields,
        AFFINITY_VIEW: features.affinity_fields,
    }
    return views | ({ATTRIBUTES_VIEW: features.attribute_fields} if features.attribute_fields else {})
