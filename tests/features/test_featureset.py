import lightgbm as lgb
import numpy as np
import pytest

from features.featureset import FeatureSet
from recsys.errors import ConfigError


def test_the_features_follow_from_the_types_whatever_their_order():
    one, other = FeatureSet.of(["view", "cart"]), FeatureSet.of({"cart": 1.0, "view": 2.0})
    assert one == other
    assert one.types == ("cart", "view")
    assert one.names(["text_interest"]) == other.names(["text_interest"])


def test_each_type_has_its_counts_in_every_window_of_items_and_of_users():
    features = FeatureSet.of(["view", "cart"])
    counts = [f"count_{name}{window}" for name in ("cart", "view") for window in ("_1d", "_7d", "_28d", "_90d", "")]
    for columns in (features.item_columns, features.user_columns):
        assert [name for name in columns if name.startswith("count_")] == counts
    for whose in ("item", "user"):
        assert [f"{whose}_{name}" for name in counts] == [
            name for name in features.names() if name.startswith(f"{whose}_count_")
        ]


def test_every_column_has_a_name_of_its_own():
    names = FeatureSet.of(["view", "cart"]).names(["text_interest"])
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("types", [["add to cart", "add-to-cart"], ["view", "view_28d"]])
def test_types_that_make_columns_of_one_name_are_refused(types):
    with pytest.raises(ConfigError, match=r"\[interaction_types\] .* rename one of them in recsys.toml"):
        FeatureSet.of(types)


def test_the_ranker_takes_the_names_that_any_type_makes():
    names = FeatureSet.of(['a "b"', "c:d", "[e], {f}", "покупка"]).names()
    rows = np.zeros((20, len(names)))
    rows[:, 0] = np.arange(20)
    data = lgb.Dataset(rows, rows[:, 0], feature_name=list(names), params={"verbosity": -1})
    settings = {"verbosity": -1, "min_data_in_leaf": 1, "min_data_in_bin": 1}
    booster = lgb.train(settings, data, num_boost_round=1)
    assert lgb.Booster(model_str=booster.model_to_string()).feature_name() == list(names)
