"""A ranker whose contributions are written by hand, and the trees of LightGBM."""

import re
from dataclasses import replace
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from numpy.typing import NDArray

from features.explain import Explained, Explainer, Scene
from features.recommender import UntrainedRanker
from recsys.state import Floats, UserState
from tests.features.assembled import assemble
from tests.features.families.cases import CUP, FEATURES, ITEMS, JAM, NEW, NOBODY, TEA, USER

VECTORS = np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0]], dtype=np.float32)
TITLES = ["Tea", "Cup", "Jam", "New"]
ALL = np.arange(4)
EXPLAINER = Explainer(FEATURES, ())
NAMES = FEATURES.names()


def scene(user: UserState = USER, rows: Any = ALL) -> Scene:
    matrix = assemble(FEATURES, user, ITEMS, ALL, None)
    return Scene(user, ITEMS, VECTORS, TITLES.__getitem__, ALL, matrix, np.asarray(rows))


class Contributions:
    """A ranker that says the same of every row: by feature, and 0.5 from the start."""

    def __init__(self, **of_features: float) -> None:
        self._of_features = of_features

    def predict(self, data: NDArray[np.float32], **options: Any) -> Floats:
        assert options["pred_contrib"]
        row = [self._of_features.get(name, 0.0) for name in NAMES]
        return np.tile([*row, 0.5], (len(data), 1))


def reasons(found: list[Explained]) -> list[tuple[str, float]]:
    return [(one.reason, one.contribution) for one in found]


def test_contributions_are_grouped_and_the_weightiest_reason_comes_first_and_the_base_last():
    ranker = Contributions(times_chosen=0.25, own_gap_days=0.5, item_users_7d=1.0, user_gap_days=-2.0, item_price=9.0)
    (found,) = EXPLAINER.of_ranker(scene(rows=[TEA]), ranker)
    assert reasons(found) == [("user", -2.0), ("popular", 1.0), ("repeat", 0.75), ("base", 0.5)]
    assert [one.text for one in found] == [
        "what is known of you", "popular this week", "you bought it before", "what every item starts with"
    ]  # fmt: skip


def test_what_speaks_against_an_item_is_no_claim():
    (found,) = EXPLAINER.of_ranker(scene(rows=[TEA]), Contributions(item_users_7d=-1.0, times_chosen=-0.5))
    assert [one.text for one in found[:2]] == ["how many choose it", "how often and when you chose it before"]


def test_the_window_is_that_of_the_feature_that_speaks_for_the_item_most():
    ranker = Contributions(item_users_7d=-0.75, item_users_28d=0.5, item_users_90d=1.0)
    (found,) = EXPLAINER.of_ranker(scene(rows=[TEA]), ranker)
    assert found[0] == Explained("popular", "popular in the last three months", 0.75)


def test_the_item_of_the_history_is_named_by_its_title_and_its_position():
    (jam, new) = EXPLAINER.of_ranker(scene(rows=[JAM, NEW]), Contributions(cooccurrence_sum=1.0))
    # Cup says 2 of jam, tea says -1; the user viewed the cup.
    assert jam[0] == Explained("together", "goes with Cup, which you viewed", 1.0, CUP)
    assert new[0] == Explained("together", "how it goes with what you chose", 1.0)


def test_contributions_that_cancel_out_are_shown_as_nothing_and_add_up_all_the_same():
    (found,) = EXPLAINER.of_ranker(scene(rows=[TEA]), Contributions(times_chosen=1.0, own_gap_days=-1.0))
    assert reasons(found) == [("repeat", 0.0), ("base", 0.5)]


@pytest.mark.parametrize("objective", ["regression", "lambdarank"])
def test_the_reasons_of_an_item_add_up_to_the_raw_score_of_lightgbm(objective):
    random = np.random.default_rng(0)
    rows = random.normal(size=(600, len(NAMES)))
    rows[random.random(rows.shape) < 0.2] = np.nan
    settings = {"verbosity": -1, "objective": objective, "min_data_in_leaf": 5}
    gains = (np.nan_to_num(rows)[:, :3].sum(axis=1) > 1).astype(int)
    booster = lgb.train(settings, lgb.Dataset(rows, gains, group=[20] * 30, params={"verbosity": -1}), 100)
    matrix = rows[:40].astype(np.float32)
    everything = replace(scene(), positions=np.arange(40) % 4, matrix=matrix, rows=np.arange(40)[::-1])
    found = EXPLAINER.of_ranker(everything, booster)
    sums = [sum(one.contribution for one in own) for own in found]
    np.testing.assert_allclose(sums, booster.predict(matrix, raw_score=True)[::-1], rtol=1e-6)


def test_the_reasons_of_an_untrained_ranker_add_up_to_its_score():
    ranker = UntrainedRanker(NAMES)
    found = EXPLAINER.of_ranker(scene(), ranker)
    # Tea has twelve users of the last four weeks: log(13).
    assert reasons(found[TEA]) == [("popular", pytest.approx(np.log(13))), ("base", 0.0)]
    sums = [sum(one.contribution for one in own) for own in found]
    np.testing.assert_allclose(sums, ranker.predict(scene().matrix), rtol=1e-12)


def test_a_user_without_a_history_is_told_what_is_popular_and_new_and_no_more():
    users = ITEMS.popularity
    tea, new = EXPLAINER.of_popularity(scene(NOBODY, [TEA, NEW]), users)
    assert tea == [Explained("popular", "popular in the last four weeks", 12.0)]
    assert new == [Explained("popular", "how many choose it", 0.0)]
    places = EXPLAINER.of_place(scene(NOBODY, [TEA, NEW]), np.array([1.0, 0.0, 0.0, 0.5]))
    assert places[0] == [Explained("place", "popular in the last four weeks", 1.0)]
    assert places[1] == [Explained("place", "its place among what is popular and what is new", 0.5)]


def test_with_a_query_the_one_reason_is_how_close_the_item_is_to_it():
    scores = np.array([0.9, 0.5, 0.5, 0.5])
    for user, besides in ((USER, " and to what you chose"), (NOBODY, "")):
        ((found,),) = EXPLAINER.of_interest(scene(user, [TEA]), scores)
        # Without a text model nothing is known of the query.
        assert found == Explained("query", f"how close it is to your query{besides}", 0.9)


def test_nothing_to_explain_is_no_reason():
    nothing = scene(rows=np.empty(0, dtype=np.int64))
    assert EXPLAINER.of_ranker(nothing, Contributions()) == []
    assert EXPLAINER.of_place(nothing, np.ones(4)) == EXPLAINER.of_interest(nothing, np.ones(4)) == []


def test_no_phrase_speaks_of_features_or_of_numbers():
    found = EXPLAINER.of_ranker(scene(), Contributions(**dict.fromkeys(NAMES, 1.0)))
    texts = {one.text for own in found for one in own}
    assert len(texts) > 10
    assert all(re.fullmatch(r"[A-Za-z, ]+", text) for text in texts)
