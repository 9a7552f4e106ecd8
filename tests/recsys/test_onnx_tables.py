from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from recsys.interest import onnx_session
from recsys.onnx_tables import tables_of

TABLE = np.random.default_rng(0).random((3000, 100)).astype(np.float32)
IDS = np.array([7, 0, 2999, 7])


def saved(path: Path, *more: onnx.NodeProto, raw: bool = True) -> Path:
    """A model that looks words up: ids int64 (n,) → vectors float32 (n, 100), and whatever else."""
    nodes = [helper.make_node("Gather", ["table", "ids"], ["vectors"]), *more]
    table = numpy_helper.from_array(TABLE, "table")
    if not raw:
        table = helper.make_tensor("table", TensorProto.FLOAT, TABLE.shape, TABLE.ravel())
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", 100])],
        [table, numpy_helper.from_array(np.ones(3, dtype=np.float32), "small")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_a_table_is_found_in_the_file_and_the_model_reads_it_there(tmp_path):
    path = saved(tmp_path / "model.onnx")
    (found,) = tables_of(path).items()
    assert found[0] == "table"
    assert isinstance(found[1], np.memmap)
    np.testing.assert_array_equal(found[1], TABLE)
    session = onnx_session(path)
    path.unlink()
    np.testing.assert_array_equal(session.run(None, {"ids": IDS})[0], TABLE[IDS])


def test_a_table_that_another_operator_reads_as_well_stays_with_onnx_runtime(tmp_path):
    total = helper.make_node("ReduceSum", ["table"], ["total"])
    assert tables_of(saved(tmp_path / "model.onnx", total)) == {}


def test_a_model_with_a_branch_keeps_its_tables(tmp_path):
    inner = helper.make_graph(
        [helper.make_node("ReduceSum", ["table"], ["total"])],
        "inner",
        [],
        [helper.make_tensor_value_info("total", TensorProto.FLOAT, None)],
    )
    branch = helper.make_node("If", ["yes"], ["out"], then_branch=inner, else_branch=inner)
    assert tables_of(saved(tmp_path / "model.onnx", branch)) == {}


def test_numbers_that_are_not_kept_as_bytes_are_not_mapped_and_the_model_works(tmp_path):
    path = saved(tmp_path / "model.onnx", raw=False)
    assert tables_of(path) == {}
    np.testing.assert_array_equal(onnx_session(path).run(None, {"ids": IDS})[0], TABLE[IDS])


@pytest.mark.parametrize("content", [b"", b"no model", b"\x3a\xff\xff"])
def test_a_file_that_is_no_model_has_no_tables(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert tables_of(path) == {}
