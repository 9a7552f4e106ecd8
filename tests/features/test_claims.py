"""Claims about the first of four candidates."""

from dataclasses import replace

import numpy as np
import pytest

from features.claims import Facts, claim
from features.featureset import FeatureSet
from features.reasons import (
    CATEGORY,
    LIKE_ITEMS,
    NEW,
    POPULAR,
    PRICE,
    QUERY,
    REPEAT,
    RETURNS,
    SHOWN,
    SIMILAR,
    TOGETHER,
    TREND,
    USER,
)  # fmt: skip
from recsys.interest import SIGNALS
from tests.features.families.cases import CUP, ITEMS, JAM, TEA

FEATURES = FeatureSet.of(["purchase"], {"price": "numeric", "published_at": "timestamp"})
COLUMNS = {name: at for at, name in enumerate(FEATURES.names(SIGNALS))}


def facts(**of_candidates: float | list[float]) -> Facts:
    """What is known of the first candidate, or of all four; of all else nothing is."""
    matrix = np.full((4, len(COLUMNS)), np.nan, dtype=np.float32)
    for name, values in of_candidates.items():
        matrix[: 4 if isinstance(values, list) else 1, COLUMNS[name]] = values
    return Facts(COLUMNS, matrix, 0, ITEMS, TEA, "bought", "Cup, which you bought", "Jam, which you viewed")


@pytest.mark.parametrize(
    ("reason", "known", "expected"),
    [
        (REPEAT, {"times_chosen": 2}, "you bought it before"),
        (REPEAT, {"times_chosen": 0}, None),
        (TOGETHER, {}, "goes with Jam, which you viewed"),
        (SIMILAR, {"text_interest_z": 0.5}, "similar to Cup, which you bought"),
        (SIMILAR, {"text_interest_z": -0.5}, None),
        (CATEGORY, {"category_affinity": 0.2}, "of a category that you choose"),
        (CATEGORY, {"category_affinity": 0.0, "session_category_share": 0.1}, "of a category that you choose"),
        (CATEGORY, {"category_affinity": 0.0}, None),
        (QUERY, {"text_query": [0.9, 0.6, 0.6, 0.95]}, None),
        (QUERY, {"text_query": [0.9, 0.6, 0.6, 0.6]}, "answers your query"),
        (QUERY, {"text_query": [0.5, 0.4, 0.4, 0.4]}, None),
        (TREND, {"item_trend": 1.5}, "chosen more this week than before"),
        (TREND, {"item_trend": 1.0}, None),
        (NEW, {"item_age_days": 27}, "new"),
        (NEW, {"item_age_days": 40, "item_published_at_days": 3}, "new"),
        (NEW, {"item_age_days": 40}, None),
        (NEW, {}, None),
        (RETURNS, {"item_again_28d": [0.3, 0.1, 0.2, 0.2]}, "more come back to it than to most"),
        (RETURNS, {"item_again_28d": [0.1, 0.1, 0.2, 0.2]}, None),
        (SHOWN, {"item_ctr_purchase_28d": [0.3, 0.1, 0.1, 0.4]}, None),
        (SHOWN, {"item_ctr_purchase_28d": [0.3, 0.1, 0.1, 0.2]}, "chosen more often than most when it is shown"),
        (LIKE_ITEMS, {"topic_users_28d": [5, 1, 2, 3]}, "items like it are chosen more than most"),
        (PRICE, {"price_fit": 1.9}, "fits your price range"),
        (PRICE, {"price_fit": 2.1, "value_fit": 1.0}, None),
        (PRICE, {"value_fit": 0.6}, "fits your price range"),
        (PRICE, {}, None),
        (USER, {"user_occasions": 3}, None),
    ],
)
def test_a_claim_stands_where_the_features_bear_it_out(reason, known, expected):
    assert claim(reason, facts(**known), "") == expected


def test_without_an_item_of_the_history_to_name_none_is_named():
    unnamed = replace(facts(text_interest_z=1.0), similar=None, together=None)
    assert claim(SIMILAR, unnamed, "") is None
    assert claim(TOGETHER, unnamed, "") is None


@pytest.mark.parametrize(
    ("strongest", "expected"),
    [
        ("item_users_1d", "popular in the last day"),
        ("item_count_purchase_7d", "popular this week"),
        ("item_users_28d", "popular in the last four weeks"),
        ("popularity_rank", "popular in the last four weeks"),
        ("text_popular_z", "popular in the last four weeks"),
        ("item_users_90d", "popular in the last three months"),
        ("item_users", "popular"),
    ],
)
def test_popular_names_the_window_that_speaks_for_the_item(strongest, expected):
    # Tea is the only item that anybody chose.
    assert claim(POPULAR, facts(), strongest) == expected


def test_popular_is_the_upper_quarter_of_what_anybody_chose():
    behaviour = ITEMS.behaviour.copy()
    column = ITEMS.columns.index("users_7d")
    behaviour[[CUP, JAM], column] = [9, 2]
    items = replace(ITEMS, behaviour=behaviour)
    # Of the three items that were chosen this week, one was by more than the three users of tea.
    assert claim(POPULAR, replace(facts(), items=items), "item_users_7d") is None
    assert claim(POPULAR, replace(facts(), items=items, position=CUP), "item_users_7d") == "popular this week"
    behaviour[CUP, column] = 3
    assert claim(POPULAR, replace(facts(), items=items), "item_users_7d") == "popular this week"
    assert claim(POPULAR, replace(facts(), items=items, position=3), "item_users_7d") is None
