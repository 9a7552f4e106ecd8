from dataclasses import replace

import numpy as np
import pytest

from features.featureset import FeatureSet
from recsys.errors import ConfigError
from recsys.state import ItemState
from tests.features.assembled import assemble
from tests.features.families.cases import CUP, ITEMS, TEA, USER
from tests.features.log import seconds

FEATURES = FeatureSet.of(
    ["purchase", "view"], {"published_at": "timestamp", "price": "numeric", "colour": "categorical"}
)
NAMES = ("item_colour", "item_price", "item_published_at_days", "price_fit")
# In the order of the names: colour, price, published_at.
KNOWN = replace(ITEMS, attributes=np.array([[3, 10, seconds(75)], [np.nan, np.nan, np.nan], *np.zeros((2, 3))]))


def rows(items: ItemState) -> list[list[float]]:
    matrix = assemble(FEATURES, USER, items, np.array([TEA, CUP]), None)
    columns = [FEATURES.behaviour.index(name) for name in NAMES]
    return matrix[:, columns].tolist()


def test_attributes_of_an_item_are_features_a_time_as_its_age_and_a_price_also_against_the_values_of_the_user():
    tea, cup = rows(KNOWN)
    assert tea == [3, 10, 25, 2.5]  # 100 - 75 days; 10 / 4
    assert np.isnan(cup).all()


def test_where_no_attribute_is_known_the_columns_are_there():
    assert np.isnan(rows(ITEMS)).all()


def test_without_attributes_there_is_no_column():
    assert "price_fit" not in FeatureSet.of(["view"]).behaviour
    assert "price_fit" not in FeatureSet.of(["view"], {"price": "categorical"}).behaviour


def test_an_attribute_with_the_name_of_another_feature_is_refused():
    with pytest.raises(ConfigError, match="several columns of the name item_users; rename one of them"):
        FeatureSet.of(["view"], {"users": "numeric"})
