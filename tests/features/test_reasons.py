import pytest

from features.featureset import FeatureSet
from features.reasons import OF_FEATURE, OTHER, reasons_of, verb_of
from recsys.interest import SIGNALS

PROJECT = FeatureSet.of(
    ["purchase", "view"],
    {"price": "numeric", "published_at": "timestamp", "brand": "categorical"},
    {"age": "numeric", "member_since": "timestamp"},
)
NAMES = PROJECT.names(SIGNALS)
REASONS = dict(zip(NAMES, (reason.name for reason in reasons_of(PROJECT, SIGNALS)), strict=True))


def test_every_feature_of_every_family_has_a_reason_of_its_own_kind():
    assert set(REASONS) == set(NAMES)
    assert OTHER.name not in REASONS.values()


@pytest.mark.parametrize(
    ("feature", "reason"),
    [
        ("times_chosen", "repeat"),
        ("cooccurrence_sum", "together"),
        ("regression_score", "together"),
        ("text_interest", "similar"),
        ("text_interest_z", "similar"),
        ("topic_times_chosen", "similar"),
        ("item_users_7d", "popular"),
        ("item_count_purchase_28d", "popular"),
        ("popularity_rank", "popular"),
        ("item_trend", "trend"),
        ("item_age_days", "new"),
        ("item_published_at_days", "new"),
        ("price_fit", "price"),
        ("item_price", "price"),
        ("item_brand", "attributes"),
        ("category_affinity", "category"),
        ("item_ctr_purchase_28d", "shown"),
        ("topic_users_28d", "like_items"),
        ("user_value_mean", "user"),
        ("user_age", "user"),
        ("session_minutes", "session"),
        ("weekday", "moment"),
        ("text_query", "query"),
    ],
)
def test_a_feature_belongs_to_the_reason_that_people_would_give(feature, reason):
    assert REASONS[feature] == reason


def test_a_feature_that_is_named_here_is_a_feature():
    assert set(OF_FEATURE) <= set(NAMES)


def test_without_a_text_model_behaviour_alone_has_reasons():
    assert len(reasons_of(PROJECT, ())) == len(PROJECT.behaviour)


def test_what_a_user_did_is_said_in_the_past():
    assert [verb_of(name) for name in ("purchase", "view", "swipe", "")] == ["bought", "viewed", "chose", "chose"]
