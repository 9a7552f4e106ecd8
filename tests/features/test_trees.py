import logging
import time
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from features import trees
from features.recommender import UntrainedRanker
from features.trees import QuickTrees, faster, open_ranker
from recsys.bundle_files import RANKER_FILE, RANKER_NETWORK_FILE, RANKER_ONNX_FILE, RANKER_ROWS_FILE
from recsys.state import Floats
from training.rank_network import learn_network
from training.ranker_rows import RankerRows

QUIET = {"verbosity": -1, "min_data_in_leaf": 1, "min_data_in_bin": 1}
ROWS = np.random.default_rng(0).random((50, 3)).astype(np.float32)
NAMES = ("item_users_28d", "text_interest", "other")


class Scores:
    """Whoever scores the rows thus, after so many seconds."""

    def __init__(self, scores: Floats, seconds: float = 0.0) -> None:
        self._scores, self._seconds = scores, seconds

    def predict(self, data: object, **options: object) -> Floats:
        time.sleep(self._seconds)
        return self._scores


@pytest.fixture(scope="module")
def booster() -> lgb.Booster:
    return lgb.train(QUIET, lgb.Dataset(ROWS, ROWS[:, 0].copy(), params=QUIET), 3)


@pytest.fixture
def folder(booster: lgb.Booster, tmp_path: Path) -> Path:
    from training.export_ranker import export_ranker

    booster.save_model(tmp_path / RANKER_FILE)
    export_ranker(booster, ROWS, tmp_path, sample=20, seed=0)
    return tmp_path


def test_the_faster_one_serves_and_the_log_says_what_was_measured(caplog):
    caplog.set_level(logging.INFO)
    scores = np.arange(50.0)
    quick, slow = Scores(scores, seconds=0.001), Scores(scores, seconds=0.1)
    assert isinstance(faster(slow, quick, ROWS), QuickTrees)
    assert faster(quick, slow, ROWS) is quick
    assert "ranker: 50 rows take" in caplog.text


@pytest.mark.parametrize("wrong", [2e-5, np.nan])
def test_scores_that_are_not_those_of_lightgbm_do_not_serve(caplog, wrong):
    scores = np.arange(50.0)
    lightgbm = Scores(scores, seconds=0.1)
    assert isinstance(faster(lightgbm, Scores(scores + 0.9e-5), ROWS), QuickTrees)
    other = scores.copy()
    other[7] += wrong
    assert faster(lightgbm, Scores(other), ROWS) is lightgbm
    assert "LightGBM serves; train again" in caplog.text


def test_a_bundle_with_both_is_measured_on_its_own_rows(folder, booster, caplog):
    caplog.set_level(logging.INFO)
    found = open_ranker(folder, NAMES)
    assert "ranker: 20 rows take" in caplog.text
    np.testing.assert_allclose(found.predict(ROWS, num_threads=1), booster.predict(ROWS), rtol=0, atol=1e-12)


def test_a_quick_ranker_explains_itself_by_lightgbm(folder, booster, monkeypatch):
    monkeypatch.setattr(trees, "faster", lambda booster, onnx, rows: QuickTrees(booster, onnx))
    found = open_ranker(folder, NAMES).predict(ROWS, pred_contrib=True)
    np.testing.assert_array_equal(found, booster.predict(ROWS, pred_contrib=True))
    assert found.shape == (50, 4)


def test_where_there_is_a_network_scores_and_what_explains_them_are_added(folder, booster):
    network = learn_network(RankerRows(ROWS, (ROWS[:, 1] > 0.5).astype(np.int32), np.array([50])), seed=0)
    network.save(folder / RANKER_NETWORK_FILE)
    found = open_ranker(folder, NAMES)
    scores = found.predict(ROWS, num_threads=1)
    np.testing.assert_allclose(scores, booster.predict(ROWS) + network.scores(ROWS), rtol=0, atol=1e-12)
    reasons = found.predict(ROWS, pred_contrib=True, num_threads=1)
    expected = booster.predict(ROWS, pred_contrib=True) + network.contributions(ROWS)
    np.testing.assert_allclose(reasons, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(reasons.sum(axis=1), scores, rtol=0, atol=1e-5)


def test_a_bundle_of_an_earlier_version_and_one_without_trees_are_opened(folder, booster):
    (folder / RANKER_ONNX_FILE).unlink()
    (folder / RANKER_ROWS_FILE).unlink()
    found = open_ranker(folder, NAMES)
    np.testing.assert_array_equal(found.predict(ROWS), booster.predict(ROWS))
    (folder / RANKER_FILE).unlink()
    assert isinstance(open_ranker(folder, NAMES), UntrainedRanker)
