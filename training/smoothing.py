"""Make an ONNX model ready for int8: channels far out are evened by moving their range into the weights.

A whole activation has one scale in int8, and a single channel far out would leave all others a few of its 256 steps.
So each channel of an activation is divided by a factor, and the weights that meet it are multiplied by the same: Xiao
et al., "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models", 2023.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from recsys.interest import Vectors, onnx_session

SMOOTHING = 0.7
"""Share of a channel's range that moves into the weights."""

TINY = np.float32(1e-5)

Batch = dict[str, NDArray[np.int64]]


def smoothed(model: ModelProto, samples: Sequence[Batch]) -> ModelProto:
    """The same function of the same inputs. `samples`, inputs of the model, tell which channels are far out."""
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    readers = products_with_weights(result)
    if not readers:
        return result
    largest = _largest_values(model, list(readers), samples)
    factors: set[str] = set()
    for name, products in readers.items():
        arrays = [numpy_helper.to_array(weights[product.input[1]]) for product in products]
        weight = np.max([np.abs(array).max(axis=1) for array in arrays], axis=0)
        factor = np.maximum(largest[name], TINY) ** SMOOTHING / np.maximum(weight, TINY) ** (1 - SMOOTHING)
        factor = (factor / np.exp(np.log(factor).mean())).astype(np.float32)
        for product, array in zip(products, arrays, strict=True):
            weights[product.input[1]].CopyFrom(numpy_helper.from_array(array * factor[:, None], product.input[1]))
            product.input[0] = f"{name}_smoothed"
        graph.initializer.append(numpy_helper.from_array(1 / factor, f"{name}_smoothing"))
        factors.add(name)
    nodes: list[NodeProto] = []
    for node in graph.node:
        name = node.input[0].removesuffix("_smoothed") if node.op_type == "MatMul" else ""
        if name in factors:
            factors.remove(name)
            nodes.append(helper.make_node("Mul", [name, f"{name}_smoothing"], [f"{name}_smoothed"], f"{name}_smooth"))
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return result


def products_with_weights(model: ModelProto) -> dict[str, list[NodeProto]]:
    """The matrix products with weights that nothing else reads, by the activation that they multiply."""
    matrices = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 2}
    uses = Counter(name for node in model.graph.node for name in node.input)
    readers: dict[str, list[NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in matrices and uses[node.input[1]] == 1:
            readers[node.input[0]].append(node)
    return readers


def _largest_values(model: ModelProto, names: Sequence[str], samples: Sequence[Batch]) -> dict[str, Vectors]:
    """The largest absolute value of each channel of these activations over the samples: float32 (channels,) each."""
    watched = ModelProto()
    watched.CopyFrom(model)
    known = {output.name for output in watched.graph.output}
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "watched.onnx"
        onnx.save(watched, path)
        session = onnx_session(path)
    largest: dict[str, Vectors] = {}
    for sample in samples:
        for name, found in zip(names, session.run(list(names), dict(sample)), strict=True):
            values = np.abs(found).reshape(-1, found.shape[-1]).max(axis=0)
            largest[name] = np.maximum(largest.get(name, values), values)
    return largest
