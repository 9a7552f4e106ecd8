import pytest

from recsys.config import Ranker
from recsys.errors import ConfigError
from training.ranker_settings import check_monotone, parameters, rows_in_leaf

FEATURES = ("item_price", "price_fit", "text_interest")


def test_a_leaf_has_one_row_in_500_within_bounds_unless_it_is_configured():
    assert [rows_in_leaf(Ranker(), rows) for rows in (100, 50_000, 10**7)] == [20, 100, 200]
    assert rows_in_leaf(Ranker(rows_in_leaf=3), 10**7) == 3


def test_constraints_stand_in_the_order_of_the_features():
    config = Ranker(monotone={"text_interest": "increasing", "item_price": "decreasing"})
    assert parameters(config, FEATURES, 100)["monotone_constraints"] == [-1, 0, 1]


def test_the_ranker_without_text_goes_without_the_constraints_on_text():
    config = Ranker(monotone={"text_interest": "increasing"})
    assert "monotone_constraints" not in parameters(config, FEATURES[:2], 100)
    assert "monotone_constraints" not in parameters(Ranker(), FEATURES, 100)


def test_an_unknown_feature_is_refused_with_those_that_may_be_meant():
    with pytest.raises(
        ConfigError, match=r"\[ranker\] monotone: 'price' is none of the 3 features .* mean price_fit or item_price\?"
    ):
        check_monotone(Ranker(monotone={"price": "decreasing"}), FEATURES)
    with pytest.raises(ConfigError, match=r"'zzz' is none of the 3 features of this project; docs/features.md"):
        check_monotone(Ranker(monotone={"zzz": "decreasing"}), FEATURES)
    check_monotone(Ranker(monotone={"item_price": "decreasing"}), FEATURES)
