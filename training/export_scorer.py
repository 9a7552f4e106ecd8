"""Export the user tower to ONNX for serving, checked against torch.

Writes scorer.onnx   one user's history, query and candidates → signals (n, signals), see recsys.interest
       gather.onnx   vectors (n_items, d), positions (n,) → rows (n, d): picks item vectors where they are, on a GPU
"""

import json
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from recsys.bundle_files import GATHER_FILE
from recsys.interest import LABELS, TYPES
from training.export import OPSET, export_module
from training.user_tower import Signals, UserTower


def export_scorer(tower: UserTower, dimension: int, path: Path) -> float:
    """Write scorer.onnx to `path` and gather.onnx beside it; returns the largest difference to torch.

    Raises BundleError when it is too large.
    """
    generator = torch.Generator().manual_seed(0)

    def unit(*shape: int) -> Tensor:
        return nn.functional.normalize(torch.randn(*shape, dimension, generator=generator), dim=-1)

    items = 5
    inputs = {
        "history": unit(items),
        "age_days": torch.tensor([0.0, 0.0, 3.0, 40.0, 400.0]),
        "occasions": torch.tensor([1.0, 3.0, 1.0, 2.0, 9.0]),
        "kind": torch.arange(items) % len(tower.types),
        "present": torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]),
        "last": torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0]),
        "query": unit(),
        "has_query": torch.tensor(1.0),
        "candidates": unit(7),
    }
    of_history, of_candidates = torch.export.Dim("items", min=1), torch.export.Dim("candidates", min=1)
    shapes: dict[str, object] = {
        name: {0: of_history} for name in ("history", "age_days", "occasions", "kind", "present", "last")
    }
    shapes |= {"query": {}, "has_query": {}, "candidates": {0: of_candidates}}
    difference = export_module(Signals(tower).eval(), inputs, shapes, "signals", path)
    model = onnx.load(path)
    helper.set_model_props(model, {TYPES: json.dumps(tower.types), LABELS: json.dumps(tower.labels)})
    onnx.save(model, path)
    onnx.save(_gather(dimension), path.with_name(GATHER_FILE))
    return difference


def _gather(dimension: int) -> onnx.ModelProto:
    vectors = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["items", dimension])
    positions = helper.make_tensor_value_info("positions", TensorProto.INT64, ["rows"])
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["rows", dimension])
    node = helper.make_node("Gather", ["vectors", "positions"], ["rows"], axis=0)
    graph = helper.make_graph([node], "gather", [vectors, positions], [rows])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
