"""A tree written by hand: 1 up to a half of the second feature, 2 above it."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from recsys.trees import FEATURES, SCORES, OnnxTrees


def write_tree(path: Path) -> None:
    cast = helper.make_node("Cast", [FEATURES], ["values"], to=TensorProto.DOUBLE)
    tree = helper.make_node(
        "TreeEnsemble",
        ["values"],
        [SCORES],
        domain="ai.onnx.ml",
        n_targets=1,
        tree_roots=[0],
        nodes_featureids=[1],
        nodes_modes=numpy_helper.from_array(np.array([0], dtype=np.uint8)),
        nodes_splits=numpy_helper.from_array(np.array([0.5])),
        nodes_truenodeids=[0],
        nodes_trueleafs=[1],
        nodes_falsenodeids=[1],
        nodes_falseleafs=[1],
        leaf_targetids=[0, 0],
        leaf_weights=numpy_helper.from_array(np.array([1.0, 2.0])),
    )
    inputs = [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["rows", 2])]
    outputs = [helper.make_tensor_value_info(SCORES, TensorProto.DOUBLE, ["rows", 1])]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 5)]
    graph = helper.make_graph([cast, tree], "tree", inputs, outputs)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)


def test_each_row_has_the_score_of_its_leaf(tmp_path):
    write_tree(tmp_path / "ranker.onnx")
    trees = OnnxTrees(tmp_path / "ranker.onnx")
    rows = np.array([[9.0, 0.5], [0.0, 0.75], [0.0, -3.0]], dtype=np.float32)
    found = trees.predict(rows)
    assert found.dtype == np.float64
    assert found.tolist() == [1.0, 2.0, 1.0]
    assert trees.predict(rows[:0]).tolist() == []


def test_rows_of_a_larger_matrix_and_of_one_in_columns_are_read_as_they_are(tmp_path):
    write_tree(tmp_path / "ranker.onnx")
    rows = np.array([[9.0, 0.5], [7.0, 7.0], [0.0, 0.75]], dtype=np.float32)
    assert OnnxTrees(tmp_path / "ranker.onnx").predict(rows[::2]).tolist() == [1.0, 2.0]
    assert OnnxTrees(tmp_path / "ranker.onnx").predict(np.asfortranarray(rows)).tolist() == [1.0, 2.0, 2.0]
