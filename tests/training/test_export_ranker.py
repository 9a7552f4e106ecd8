"""Trees of every kind that LightGBM makes, on rows at, between and beyond the thresholds."""

from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from numpy.typing import NDArray

from recsys.bundle_files import RANKER_ONNX_FILE, RANKER_ROWS_FILE
from recsys.errors import BundleError
from recsys.trees import OnnxTrees
from training.export_ranker import check_against_lightgbm, export_ranker, shuffled_sample

QUIET = {"verbosity": -1, "min_data_in_leaf": 1, "min_data_in_bin": 1}


def table(seed: int = 0, rows: int = 600) -> NDArray[np.float32]:
    """Columns with few and with many values, the second and the third with NaN, the fourth with nothing else."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(rows, 5))
    found[:, 1] = np.round(found[:, 1])
    found[random.random(rows) < 0.3, 1] = np.nan
    found[random.random(rows) < 0.3, 2] = np.nan
    found[:, 3] = np.nan
    return found.astype(np.float32)


def trained(rows: NDArray[np.float32], *, trees: int = 30, label: NDArray[Any] | None = None, **settings: Any) -> Any:
    """What is missing counts for much on one side and on the other, so that NaN goes left and right."""
    left, right = np.isnan(rows[:, 1]), np.isnan(rows[:, 2])
    target = np.nan_to_num(rows).sum(axis=1) - 4.0 * left + 3.0 * right if label is None else label
    return lgb.train(QUIET | settings, lgb.Dataset(rows.astype(np.float64), target, params=QUIET), trees)


def splits(node: dict[str, Any]) -> list[dict[str, Any]]:
    if "leaf_value" in node:
        return []
    return [node, *splits(node["left_child"]), *splits(node["right_child"])]


def all_splits(booster: Any) -> list[dict[str, Any]]:
    return [split for tree in booster.dump_model()["tree_info"] for split in splits(tree["tree_structure"])]


def exported(booster: Any, folder: Path, rows: NDArray[np.float32]) -> OnnxTrees:
    assert export_ranker(booster, rows, folder, sample=7, seed=0) <= 1e-12
    return OnnxTrees(folder / RANKER_ONNX_FILE)


def test_every_row_has_the_score_of_lightgbm_with_missing_values_on_either_side(tmp_path):
    booster = trained(table(), trees=200)
    found = exported(booster, tmp_path, table())
    sides = {(split["missing_type"], split["default_left"]) for split in all_splits(booster)}
    assert sides >= {("NaN", True), ("NaN", False), ("None", True)}
    unseen = table(seed=1, rows=3000)
    # Nothing was missing in these columns: LightGBM then takes it as zero.
    unseen[::3, 0], unseen[::5, 4] = np.nan, np.nan
    unseen[::7, 3] = 1.0
    np.testing.assert_allclose(found.predict(unseen), booster.predict(unseen), rtol=0, atol=1e-12)


def test_a_value_on_a_threshold_next_to_it_or_without_bound_takes_the_branch_of_lightgbm(tmp_path):
    rows = table()
    rows[::9, 0], rows[::8, 0], rows[::7, 1] = np.inf, -np.inf, np.inf
    label = np.nan_to_num(rows, posinf=9, neginf=-9).sum(axis=1) + 9 * np.isnan(rows[:, 2])
    booster = trained(rows, trees=50, label=label)
    thresholds = {split["threshold"] for split in all_splits(booster)}
    assert max(thresholds) == 1e300  # of a split between NaN and all else
    assert min(thresholds) == -1e300
    found = exported(booster, tmp_path, rows)
    rows = []
    for split in all_splits(booster):
        threshold = np.float32(np.clip(split["threshold"], -3e38, 3e38))
        near = [threshold, np.nextafter(threshold, np.float32(-np.inf)), np.nextafter(threshold, np.float32(np.inf))]
        for value in (*near, np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-40, -1e-40, 1e-35, -1e-35):
            row = np.zeros(5, dtype=np.float32)
            row[split["split_feature"]] = value
            rows.append(row)
    np.testing.assert_allclose(found.predict(np.stack(rows)), booster.predict(np.stack(rows)), rtol=0, atol=1e-12)


def test_many_trees_of_large_leaves_are_added_without_an_error_of_float32(tmp_path):
    rows = table(rows=2000)
    booster = trained(rows, label=1e4 + rows[:, 0].astype(np.float64), trees=300)
    found, expected = exported(booster, tmp_path, rows).predict(rows), booster.predict(rows)
    assert found.dtype == np.float64
    assert np.abs(expected.astype(np.float32) - expected).max() > 1e-5
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_a_ranker_of_lambdarank_is_exported(tmp_path):
    rows = table()
    gains = (rows[:, 0] > 1).astype(int)
    data = lgb.Dataset(rows, gains, group=[20] * 30, params=QUIET)
    booster = lgb.train(QUIET | {"objective": "lambdarank"}, data, 20)
    np.testing.assert_allclose(
        exported(booster, tmp_path, rows).predict(rows), booster.predict(rows), rtol=0, atol=1e-12
    )


def test_trees_that_never_split_are_a_constant(tmp_path):
    booster = trained(table(), label=np.full(600, 2.5), trees=1)
    assert all_splits(booster) == []
    assert exported(booster, tmp_path, table()).predict(table(rows=3)).tolist() == [2.5] * 3
    assert exported(booster, tmp_path, table()).predict(table(rows=0)).shape == (0,)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"zero_as_missing": True}, "missing values as Zero; expected '<=' with NaN or None"),
        ({"linear_tree": True}, "linear models in its leaves; train without linear_tree"),
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "average_output True; expected"),
        ({"objective": "poisson"}, "ranker.onnx: differs from LightGBM by"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path, settings, expected):
    rows = np.nan_to_num(table())
    booster = trained(rows, trees=3, label=np.exp(rows[:, 0]), **settings)
    with pytest.raises(BundleError, match=expected):
        export_ranker(booster, rows, tmp_path, sample=7, seed=0)


def test_categories_and_several_scores_are_refused(tmp_path):
    rows = np.abs(np.round(np.nan_to_num(table())))
    data = lgb.Dataset(rows, rows[:, 0] == 1, categorical_feature=[0], params=QUIET | {"min_data_per_group": 1})
    with pytest.raises(BundleError, match=r"splits feature 0 by '=='.*train without categorical_feature"):
        export_ranker(lgb.train(QUIET | {"cat_smooth": 0}, data, 1), rows, tmp_path, sample=7, seed=0)
    of_three = trained(rows, trees=2, label=np.clip(rows[:, 1], 0, 2), objective="multiclass", num_class=3)
    with pytest.raises(BundleError, match="6 trees, 3 an iteration"):
        export_ranker(of_three, rows, tmp_path, sample=7, seed=0)


def test_other_trees_than_those_of_the_file_are_found_out(tmp_path):
    exported(trained(table()), tmp_path, table())
    with pytest.raises(BundleError, match="expected at most 1e-05; not used"):
        check_against_lightgbm(trained(table(), trees=29), tmp_path / RANKER_ONNX_FILE, table())


def test_the_rows_beside_it_have_values_as_they_occur_and_are_those_of_no_user(tmp_path):
    rows = np.stack([np.arange(100), np.arange(100) + 1000.0]).T.astype(np.float32)
    found = shuffled_sample(rows, 50, seed=0)
    assert found.shape == (50, 2)
    assert set(found[:, 0]) <= set(rows[:, 0])
    assert set(found[:, 1]) <= set(rows[:, 1])
    assert np.count_nonzero(found[:, 1] - found[:, 0] == 1000) < 10
    np.testing.assert_array_equal(found, shuffled_sample(rows, 50, seed=0))
    exported(trained(table()), tmp_path, table())
    assert np.load(tmp_path / RANKER_ROWS_FILE).shape == (7, 5)
