from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from features.lightgbm_model import LightGbmModel
from recsys.errors import BundleError
from tests.features.test_trees import QUIET, ROWS


@pytest.fixture(scope="module")
def booster() -> lgb.Booster:
    return lgb.train(QUIET, lgb.Dataset(ROWS, ROWS[:, 0].copy(), params=QUIET), 3)


@pytest.fixture(scope="module")
def model(booster: lgb.Booster, tmp_path_factory: pytest.TempPathFactory) -> LightGbmModel:
    path: Path = tmp_path_factory.mktemp("model") / "ranker.txt"
    booster.save_model(path)
    return LightGbmModel(path)


def test_scores_and_contributions_are_those_of_the_package(model, booster):
    np.testing.assert_array_equal(model.predict(ROWS), booster.predict(ROWS))
    np.testing.assert_array_equal(model.predict(ROWS, pred_contrib=True), booster.predict(ROWS, pred_contrib=True))


def test_a_matrix_that_is_not_in_rows_is_read_as_it_is_meant(model, booster):
    np.testing.assert_array_equal(model.predict(np.asfortranarray(ROWS)), booster.predict(ROWS))
    missing = ROWS.copy()
    missing[::2, 0] = np.nan
    np.testing.assert_array_equal(model.predict(missing), booster.predict(missing))


def test_a_matrix_of_another_width_and_a_file_that_is_no_model_are_refused(model, tmp_path):
    with pytest.raises(ValueError, match=r"a matrix of the shape \(50, 2\)"):
        model.predict(ROWS[:, :2])
    path = tmp_path / "ranker.txt"
    path.write_text("no model")
    with pytest.raises(BundleError, match=r"ranker\.txt: LightGBM cannot read it"):
        LightGbmModel(path)
