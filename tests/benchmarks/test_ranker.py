import numpy as np

from benchmarks.ranker import leaf_depths, request_rows
from tests.benchmarks.quick import quick


def test_ours_and_lightgbm_give_the_same_scores(tmp_path):
    details = quick("ranker", tmp_path)
    found = details["5 trees of 7 leaves"]
    assert found["trees"] == 5
    # At most six splits lead to seven leaves, and at least one to any.
    assert 5 * details["rows"] <= found["splits_visited"] <= 30 * details["rows"]
    assert found["difference"] <= 1e-5
    assert set(found["milliseconds"]) == {"LightGBM", "ONNX Runtime", "floor"}
    ratio = found["milliseconds"]["LightGBM"] / found["milliseconds"]["ONNX Runtime"]
    assert found["times_as_fast"] == ratio > 0
    assert found["times_as_fast_in_cpu_seconds"] > 0


def test_the_depth_of_a_leaf_is_the_splits_above_it():
    leaves = [{"leaf_index": at, "leaf_value": 0.0} for at in range(3)]
    tree = {"left_child": leaves[0], "right_child": {"left_child": leaves[1], "right_child": leaves[2]}}
    assert dict(leaf_depths(tree)) == {0: 1, 1: 2, 2: 2}


def test_the_features_of_a_user_are_the_same_in_all_rows_and_some_values_are_missing():
    rows = request_rows(np.random.default_rng(0))
    assert rows.shape == (500, 130)
    assert 0.15 < np.isnan(rows).mean() < 0.25
    spread = np.nanmax(rows, axis=0) - np.nanmin(rows, axis=0)
    assert (spread[:45] == 0).all()
    assert (spread[45:] > 0).all()
