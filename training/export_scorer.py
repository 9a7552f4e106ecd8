"""Export the user tower to ONNX for serving, checked against torch.

Writes scorer.onnx   one user's history, query and candidates → signals (n, signals), see recsys.interest
       gather.onnx   vectors (n_items, d), positions (n,) → rows (n, d): picks item vectors where they are, on a GPU
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from recsys.bundle_files import BATCH_SCORER_FILE, GATHER_FILE, SCORER_FILE
from recsys.interest import LABELS, TOWER, TYPES
from training.export import OPSET, check_against_torch, write_onnx
from training.export_batch_scorer import export_batch_scorer
from training.user_tower import Signals, UserTower


def export_scorer(tower: UserTower, dimension: int, path: Path) -> float:
    """Write scorer.onnx to `path`, and gather.onnx and scorer_batch.onnx beside it; returns the largest difference to
    torch."""
    batch = export_batch_scorer(tower, dimension, path.with_name(BATCH_SCORER_FILE))
    return max(batch, ScorerExport(tower, dimension).write(tower, path))


class ScorerExport:
    """The graph of a user tower, exported once, to be written with the weights of one fold after the other."""

    def __init__(self, tower: UserTower, dimension: int) -> None:
        self._dimension = dimension
        self._inputs = _example(len(tower.types), dimension)
        weights = dict(tower.state_dict())
        items, candidates = torch.export.Dim("items", min=1), torch.export.Dim("candidates", min=1)
        shapes: dict[str, object] = {
            name: {0: items} for name in ("history", "age_days", "occasions", "kind", "present", "last")
        }
        shapes |= {"query": {}, "has_query": {}, "candidates": {0: candidates}}
        shapes["weights"] = {name: {} for name in weights}
        with TemporaryDirectory() as temporary:
            path = Path(temporary) / SCORER_FILE
            inputs = {**self._inputs, "weights": weights}
            write_onnx(_Open(tower), inputs, shapes, [*self._inputs, *weights], "signals", path)
            self._graph = onnx.load(path)

    def write(self, tower: UserTower, path: Path) -> float:
        """Write scorer.onnx to `path` and gather.onnx beside it; returns the largest difference to torch.

        Raises BundleError when it is too large.
        """
        model = onnx.ModelProto()
        model.CopyFrom(self._graph)
        weights = {name: weight.detach().cpu().numpy() for name, weight in tower.state_dict().items()}
        kept = [one for one in model.graph.input if one.name not in weights]
        del model.graph.input[:]
        model.graph.input.extend(kept)
        model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
        about = {TYPES: tower.types, LABELS: tower.labels, TOWER: tower.parameters_by_name()}
        helper.set_model_props(model, {name: json.dumps(value) for name, value in about.items()})
        onnx.save(model, path)
        onnx.save(_gather(self._dimension), path.with_name(GATHER_FILE))
        return check_against_torch(Signals(tower).eval(), self._inputs, path)


class _Open(nn.Module):
    """The signals with the tower's weights as inputs, so that the exporter cannot compute them into the graph."""

    def __init__(self, tower: UserTower) -> None:
        super().__init__()
        self.signals = Signals(tower).eval()

    def forward(
        self,
        history: Tensor,
        age_days: Tensor,
        occasions: Tensor,
        kind: Tensor,
        present: Tensor,
        last: Tensor,
        query: Tensor,
        has_query: Tensor,
        candidates: Tensor,
        weights: dict[str, Tensor],
    ) -> Tensor:
        inputs = (history, age_days, occasions, kind, present, last, query, has_query, candidates)
        of_tower = {f"tower.{name}": weight for name, weight in weights.items()}
        found: Tensor = torch.func.functional_call(self.signals, of_tower, inputs)
        return found


def _example(types: int, dimension: int) -> dict[str, Tensor]:
    """Inputs of Signals: a history of five items, the last of them padding."""
    generator = torch.Generator().manual_seed(0)

    def unit(*shape: int) -> Tensor:
        return nn.functional.normalize(torch.randn(*shape, dimension, generator=generator), dim=-1)

    items = 5
    return {
        "history": unit(items),
        "age_days": torch.tensor([0.0, 0.0, 3.0, 40.0, 400.0]),
        "occasions": torch.tensor([1.0, 3.0, 1.0, 2.0, 9.0]),
        "kind": torch.arange(items) % types,
        "present": torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]),
        "last": torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0]),
        "query": unit(),
        "has_query": torch.tensor(1.0),
        "candidates": unit(7),
    }


def _gather(dimension: int) -> onnx.ModelProto:
    vectors = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["items", dimension])
    positions = helper.make_tensor_value_info("positions", TensorProto.INT64, ["rows"])
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["rows", dimension])
    node = helper.make_node("Gather", ["vectors", "positions"], ["rows"], axis=0)
    graph = helper.make_graph([node], "gather", [vectors, positions], [rows])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
