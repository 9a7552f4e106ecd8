from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from recsys.interest import onnx_session
from training.quantise import write_int8
from training.smoothing import products_with_weights, smoothed

# One channel is a thousand times the other, and both matter as much to what comes out.
TABLE = np.array([[1000.0, 0.5], [-1000.0, 1.0], [500.0, -1.0]], dtype=np.float32)
LEFT, RIGHT = np.array([[0.001], [1.0]], dtype=np.float32), np.array([[0.002], [-1.0]], dtype=np.float32)
EXPECTED = np.array([[1.5, 1.5], [0.0, -3.0], [-0.5, 2.0]])
INPUT = {"input_ids": np.array([0, 1, 2])}


def model(*, shared: bool = False) -> ModelProto:
    """Two products of one activation; `shared`: the second with the weights of the first."""
    arrays = {"table": TABLE, "left": LEFT, "right": RIGHT}
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "left"], ["one"]),
        helper.make_node("MatMul", ["hidden", "left" if shared else "right"], ["two"]),
        helper.make_node("Concat", ["one", "two"], ["vectors"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "two products",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def run(path: Path) -> np.ndarray:
    return onnx_session(path).run(None, INPUT)[0]


def test_a_smoothed_model_computes_the_same(tmp_path):
    result = smoothed(model(), [INPUT])
    assert [node.op_type for node in result.graph.node] == ["Gather", "Mul", "MatMul", "MatMul", "Concat"]
    onnx.save(result, tmp_path / "smoothed.onnx")
    np.testing.assert_allclose(run(tmp_path / "smoothed.onnx"), EXPECTED, atol=1e-4)


def test_what_was_far_out_comes_near(tmp_path):
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in smoothed(model(), [INPUT]).graph.initializer}
    # Of 1000 : 1 the power .7 moves, and the weights, 0.002 : 1, take the power .3 of their share.
    factor = 1000**0.7 * 0.002**-0.3
    assert weights["hidden_smoothing"][1] / weights["hidden_smoothing"][0] == pytest.approx(factor, rel=1e-4)
    assert weights["left"][0, 0] / weights["left"][1, 0] == pytest.approx(0.001 * factor, rel=1e-4)


def test_int8_reads_a_channel_beside_one_that_is_far_out(tmp_path):
    write_int8(model(), tmp_path / "int8.onnx", [INPUT])
    # A step of a scale for values from -1000 to 1000 is 8: without smoothing half a unit would be nothing at all.
    np.testing.assert_allclose(run(tmp_path / "int8.onnx"), EXPECTED, atol=0.1)


def test_int8_weights_have_seven_bits_so_that_two_products_fit_into_sixteen(tmp_path):
    write_int8(model(), tmp_path / "int8.onnx", [INPUT])
    graph = onnx.load(tmp_path / "int8.onnx").graph
    weights = [numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.data_type == TensorProto.INT8]
    # Without VNNI 2 * 255 * 64 just fits; a processor that has it would not show what overflows on others.
    assert max(np.abs(weight.astype(np.int64)).max() for weight in weights) == 64


def test_weights_that_two_products_share_stay_as_they_are():
    shared = model(shared=True)
    assert products_with_weights(shared) == {}
    assert smoothed(shared, [INPUT]) == shared
