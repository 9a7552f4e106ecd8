from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys.bundle_files import SCORER_FILE
from recsys.importing import import_tables
from recsys.interest import InterestScorer
from recsys.metrics import per_user_metrics
from recsys.retrieval.interest import INTEREST_WEIGHT
from recsys.retrieval.merge import best
from recsys.split import split_by_time
from recsys.workspace import Workspace
from tests.training.project import at, catalogue_of, chosen, config_of, items_state, user_of
from training import baselines
from training.baselines import EASE_LAMBDA, Scores
from training.evaluate import Case, cases_of
from training.export_scorer import export_scorer
from training.pipeline import Pipeline
from training.user_tower import UserTower

ONLINE_RETAIL = Path(__file__).parents[2] / "examples" / "online_retail" / "online_retail.parquet"
CONFIG = """
name = "online_retail"
[source]
format = "online_retail"
interactions = '{data}'
[interaction_types]
purchase = {{ label = true }}
[split]
test_start = 2011-11-25T00:00:00Z
"""

# Measured once with independent code, by the same protocol.
KNOWN = {
    ("popularity", "all"): {"recall@10": 0.056, "ndcg@10": 0.132, "recall@100": 0.254},
    ("popularity", "new"): {"recall@10": 0.038, "ndcg@10": 0.062, "recall@100": 0.207},
    ("personal_frequency", "all"): {"recall@10": 0.196, "ndcg@10": 0.344, "recall@100": 0.506},
    ("ease", "all"): {"recall@10": 0.128, "ndcg@10": 0.239, "recall@100": 0.485},
    ("ease", "new"): {"recall@10": 0.062, "ndcg@10": 0.079, "recall@100": 0.277},
}


def test_popularity_is_the_users_of_the_last_four_weeks_and_zero_for_an_item_that_had_none():
    scores = baselines.popularity(items_state(3, users_28d=[2, np.nan, 5]))
    assert scores(user_of({0: 1.0})).tolist() == [2, 0, 5]


def test_personal_frequency_is_the_number_of_occasions_and_popularity_decides_among_equals():
    scores = baselines.personal_frequency(items_state(5, users_28d=[4, 9, 1, np.nan, 9]))
    found = scores(user_of({3: 2.0, 2: 1.0, 0: 1.0}))
    np.testing.assert_allclose(found, [1.4, 0.9, 1.1, 2.0, 0.9])
    assert best(found, 5).tolist() == [3, 0, 2, 1, 4]


def test_personal_frequency_of_one_user_does_not_touch_that_of_the_next():
    scores = baselines.personal_frequency(items_state(2, users_28d=[0, 0]))
    scores(user_of({0: 7.0}))
    assert scores(user_of({1: 1.0})).tolist() == [0, 1]


def test_ease_equals_a_literal_loop():
    rows = [("u", "a", 1), ("u", "b", 2), ("u", "b", 9), ("v", "a", 3), ("v", "b", 3), ("v", "c", 4), ("w", "d", 5)]
    gram = np.zeros((5, 5))
    for own in ([0, 1], [0, 1, 2], [3]):
        for one in own:
            for other in own:
                gram[one, other] += 1
    for item in range(5):
        gram[item, item] += EASE_LAMBDA
    inverse = np.linalg.inv(gram)
    weights = np.zeros((5, 5))
    for one in range(5):
        for other in range(5):
            if one != other:
                weights[one, other] = -inverse[one, other] / inverse[other, other]
    scores = baselines.ease(chosen(*rows), catalogue_of("a", "b", "c", "d", "e"))
    np.testing.assert_allclose(scores(user_of({0: 1.0, 2: 5.0})), weights[0] + weights[2], atol=1e-12)
    assert best(scores(user_of({0: 1.0})), 1).tolist() == [1]


VECTORS = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> InterestScorer:
    """It looks at the latest item of the history alone."""
    path = tmp_path_factory.mktemp("scorer") / SCORER_FILE
    export_scorer(UserTower.configured(config_of()), 2, path)
    return InterestScorer(path, VECTORS, history_items=1)


def test_by_text_is_the_interest_of_the_scorer(scorer):
    # A cosine of c is an interest of (c + 1) / 2.
    found = baselines.by_text(scorer, at(0).timestamp())(user_of({0: 1.0, 1: 1.0}))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [1, 0.5, 0.8], atol=1e-6)


def test_by_text_and_popularity_adds_log_popularity_as_the_channel_does(scorer):
    scores = baselines.by_text_and_popularity(scorer, items_state(3, users_28d=[3, np.nan, 7]))
    expected = [INTEREST_WEIGHT * 1 + np.log(4), INTEREST_WEIGHT * 0.5, INTEREST_WEIGHT * 0.8 + np.log(8)]
    np.testing.assert_allclose(scores(user_of({0: 1.0, 1: 1.0})), expected, atol=1e-4)


def test_zero_shot_text_is_the_log_sum_of_exp_of_12_times_the_cosine_with_every_item_of_the_history():
    found = baselines.zero_shot_text(VECTORS)(user_of({0: 5.0, 1: 1.0}))
    cosines = [(1.0, 0.0), (0.0, 1.0), (0.6, 0.8)]
    assert found.dtype == np.float64
    np.testing.assert_allclose(
        found, [np.log(np.exp(12 * one) + np.exp(12 * other)) for one, other in cosines], rtol=1e-6
    )


def test_zero_shot_text_looks_at_the_last_40_items_of_a_history():
    vectors = np.zeros((50, 2), dtype=np.float32)
    vectors[:, 0] = 1
    vectors[40] = [0, 1]  # the forty-first of the history
    history = dict.fromkeys(range(50), 1.0)
    found = baselines.zero_shot_text(vectors)(user_of(history))
    assert found[0] == pytest.approx(12 + np.log(40))
    assert found[40] == pytest.approx(np.log(40))


def test_zero_shot_text_has_nothing_to_say_of_a_user_without_a_history():
    assert len(set(baselines.zero_shot_text(VECTORS)(user_of({})).tolist())) == 1


@pytest.fixture(scope="module")
def online_retail(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[Case]], dict[str, Scores]]:
    """The cases of each task on the real data, and the baselines as of the cut."""
    root = tmp_path_factory.mktemp("online_retail")
    (root / "recsys.toml").write_text(CONFIG.format(data=ONLINE_RETAIL))
    workspace = Workspace.open(root / "recsys.toml")
    import_tables(workspace)
    pipeline = Pipeline(workspace, cut=workspace.config.split.test_start)
    pipeline.store.snapshot(pipeline.interactions, pipeline.catalogue, [pipeline.cut])
    window = pipeline.window(pipeline.cut, None)
    known, _ = split_by_time(pipeline.interactions, pipeline.cut)
    models = {
        "popularity": baselines.popularity(window.items),
        "personal_frequency": baselines.personal_frequency(window.items),
        "ease": baselines.ease(known, pipeline.catalogue),
    }
    return cases_of(window, pipeline.hidden), models


def test_as_many_users_take_part_as_the_protocol_says(online_retail):
    assert {task: len(cases) for task, cases in online_retail[0].items()} == {"all": 819, "new": 733, "cold": 461}


@pytest.mark.parametrize(("model", "task"), KNOWN)
def test_a_baseline_reaches_what_is_known_of_it(online_retail: Any, model: str, task: str):
    tasks, models = online_retail
    top = [best(np.where(case.exclude, -np.inf, models[model](case.user)), 100) for case in tasks[task]]
    found = per_user_metrics(top, [case.relevant for case in tasks[task]])
    means = {metric: found[metric].mean() for metric in KNOWN[model, task]}
    assert means == pytest.approx(KNOWN[model, task], rel=0.03)
