import os
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from recsys.interest import onnx_session
from recsys.packed_model import KEPT, MODEL, WEIGHTS, packed

RANDOM = np.random.default_rng(0)
TABLE, WEIGHT = RANDOM.random((3000, 64)).astype(np.float32), RANDOM.random((64, 512)).astype(np.float32)
IDS = np.array([7, 0, 2999, 7])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that looks words up and multiplies: ids int64 (n,) → vectors float32 (n, 512)."""
    return saved(tmp_path / "encoder.onnx", WEIGHT)


def saved(path: Path, weight: np.ndarray) -> Path:
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"]),
        helper.make_node("MatMul", ["words", "weight"], ["vectors"]),
    ]
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", weight.shape[1]])],
        [numpy_helper.from_array(TABLE, "table"), numpy_helper.from_array(weight, "weight")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def vectors_of(model: Path, folder: Path | None) -> np.ndarray:
    found: np.ndarray = onnx_session(model, packed_in=folder).run(None, {"ids": IDS})[0]
    return found


def packed_folders(folder: Path) -> set[str]:
    return {one.name for one in folder.glob("packed-*")}


def test_a_packed_model_gives_the_same_and_has_its_weights_in_a_file_that_is_mapped(tmp_path, model):
    cache = tmp_path / "cache"
    session = onnx_session(model, packed_in=cache)
    np.testing.assert_array_equal(session.run(None, {"ids": IDS})[0], vectors_of(model, None))
    (weights,) = cache.glob(f"packed-*/{WEIGHTS}")
    # With the table and the weight as they are, and the weight as it is packed.
    assert weights.stat().st_size >= TABLE.nbytes + 2 * WEIGHT.nbytes
    assert str(weights) in Path("/proc/self/maps").read_text()


def test_what_is_packed_is_opened_as_it_is_and_of_another_model_or_processor_there_is_another(
    tmp_path, model, monkeypatch
):
    cache = tmp_path / "cache"
    assert (found := packed(model, cache)) is not None
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it is packed again"))
    assert packed(model, cache) == found
    monkeypatch.setattr(subprocess, "run", run)
    other = packed(saved(tmp_path / "other.onnx", 2 * WEIGHT), cache)
    monkeypatch.setattr("recsys.packed_model._processor", lambda: "another one")
    elsewhere = packed(model, cache)
    assert {one.parent.name for one in (found, other, elsewhere) if one} == packed_folders(cache)
    assert len(packed_folders(cache)) == 3


def test_those_used_last_are_kept(tmp_path):
    cache, models = tmp_path / "cache", [saved(tmp_path / f"{at}.onnx", at * WEIGHT) for at in range(KEPT + 1)]
    found = []
    for at, model in enumerate(models[:-1]):
        found.append(packed(model, cache))
        os.utime(found[-1].parent, (at, at))
    # The first one is used again.
    assert packed(models[0], cache) == found[0]
    found.append(packed(models[-1], cache))
    assert packed_folders(cache) == {one.parent.name for at, one in enumerate(found) if at != 1}


def test_where_nothing_can_be_written_a_model_works_all_the_same_and_the_log_says_so(tmp_path, model, caplog):
    (tmp_path / "cache").write_text("no folder")
    np.testing.assert_array_equal(vectors_of(model, tmp_path / "cache"), vectors_of(model, None))
    (said,) = caplog.messages
    assert said.startswith(f"{model}: it is not packed, so each process keeps weights of its own: ")


def test_what_cannot_be_packed_leaves_nothing_behind_that_is_opened(tmp_path, caplog):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    assert packed(broken, tmp_path / "cache") is None
    assert "broken.onnx" in caplog.text
    assert packed_folders(tmp_path / "cache") == set()


@pytest.mark.parametrize("file", [MODEL, WEIGHTS])
def test_a_damaged_one_is_removed_and_made_anew(tmp_path, model, caplog, file):
    cache, expected = tmp_path / "cache", vectors_of(model, None)
    vectors_of(model, cache)
    (name,) = packed_folders(cache)
    os.truncate(cache / name / file, 100)
    np.testing.assert_array_equal(vectors_of(model, cache), expected)
    assert "cannot be opened and is removed" in caplog.text
    assert packed_folders(cache) == set()
    np.testing.assert_array_equal(vectors_of(model, cache), expected)
    assert packed_folders(cache) == {name}
