"""The nearest of all items, their vectors on the device where ONNX Runtime runs.

One product gives the scores. The best `top` of them lie in the `top` groups with the largest maxima, so that only
these are sorted and not the whole catalogue.
"""

from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import OrtValue

from recsys.interest import CUDA, Vectors, onnx_session
from recsys.state import Positions

ROWS_AT_ONCE = 100_000
ITEMS_A_GROUP = 64


class ExhaustiveRetrieval:
    """Random vectors: float16 on a GPU, float32 on a CPU, which computes in no other."""

    dimension: Final = 384

    def __init__(self, folder: Path, items: int, *, top: int, threads: int = 1) -> None:
        path = folder / f"retrieve_{items}.onnx"
        probe = onnx_session_of(path, items, top, TensorProto.FLOAT, threads)
        self._on_gpu = probe.get_providers()[0] == CUDA
        self._type = np.float16 if self._on_gpu else np.float32
        self._session = onnx_session_of(path, items, top, TensorProto.FLOAT16, threads) if self._on_gpu else probe
        vectors = np.empty((items, self.dimension), dtype=self._type)
        random = np.random.default_rng(0)
        block = random.standard_normal((min(ROWS_AT_ONCE, items), self.dimension), dtype=np.float32).astype(self._type)
        for start in range(0, items, ROWS_AT_ONCE):
            vectors[start : start + ROWS_AT_ONCE] = block[: items - start]
        self.bytes: Final = vectors.nbytes
        self._device = "cuda" if self._on_gpu else "cpu"
        self._vectors = OrtValue.ortvalue_from_numpy(vectors, self._device, 0)

    def best(self, query: Vectors) -> Positions:
        """The nearest of all items: int64 (top,)."""
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("vectors", self._vectors)
        binding.bind_cpu_input("query", query.T.astype(self._type))
        binding.bind_output("positions")
        self._session.run_with_iobinding(binding)
        found: Positions = binding.copy_outputs_to_cpu()[0]
        return found


def onnx_session_of(path: Path, items: int, top: int, kind: int, threads: int):  # type: ignore[no-untyped-def]
    """A session with `vectors @ query` and the positions of its largest values, the largest first."""
    dimension = ExhaustiveRetrieval.dimension
    size = ITEMS_A_GROUP if items % ITEMS_A_GROUP == 0 else 1
    constants = {
        "grouped": np.array([items // size, size]),
        "flat": np.array([-1]),
        "a_group": np.array([1]),
        "groups": np.array([min(top, items // size)]),
        "top": np.array([top]),
        "size": np.array(size),
    }
    nodes = [
        helper.make_node("MatMul", ["vectors", "query"], ["scores"]),
        helper.make_node("Reshape", ["scores", "grouped"], ["by_group"]),
        helper.make_node("ReduceMax", ["by_group", "a_group"], ["maxima"], keepdims=0),
        helper.make_node("TopK", ["maxima", "groups"], ["best_maxima", "best_groups"], axis=0),
        helper.make_node("Gather", ["by_group", "best_groups"], ["candidates"], axis=0),
        helper.make_node("Reshape", ["candidates", "flat"], ["flat_candidates"]),
        helper.make_node("TopK", ["flat_candidates", "top"], ["best_scores", "best"], axis=0),
        helper.make_node("Div", ["best", "size"], ["group"]),
        helper.make_node("Mod", ["best", "size"], ["place"]),
        helper.make_node("Gather", ["best_groups", "group"], ["of_group"], axis=0),
        helper.make_node("Mul", ["of_group", "size"], ["start"]),
        helper.make_node("Add", ["start", "place"], ["positions"]),
    ]
    graph = helper.make_graph(
        nodes,
        "exhaustive retrieval",
        [
            helper.make_tensor_value_info("vectors", kind, [items, dimension]),
            helper.make_tensor_value_info("query", kind, [dimension, 1]),
        ],
        [helper.make_tensor_value_info("positions", TensorProto.INT64, [top])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return onnx_session(path, threads=threads)
