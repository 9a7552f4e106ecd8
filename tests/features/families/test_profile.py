from dataclasses import replace

import numpy as np

from features.featureset import FeatureSet
from tests.features.assembled import assemble
from tests.features.families.cases import CUP, ITEMS, TEA, USER
from tests.features.log import seconds

FEATURES = FeatureSet.of(["purchase", "view"], None, {"since": "timestamp", "age": "numeric", "town": "categorical"})
NAMES = ("user_age", "user_since_days", "user_town")


def rows(attributes: list[float] | None) -> np.ndarray:
    user = replace(USER, attributes=None if attributes is None else np.array(attributes))
    matrix = assemble(FEATURES, user, ITEMS, np.array([TEA, CUP]), None)
    return matrix[:, [FEATURES.behaviour.index(name) for name in NAMES]]


def test_attributes_of_a_user_are_features_of_every_candidate_a_time_as_its_age():
    assert rows([31.0, seconds(75), 2.0]).tolist() == [[31, 25, 2]] * 2


def test_where_no_attribute_is_known_the_columns_are_there():
    assert np.isnan(rows(None)).all()
