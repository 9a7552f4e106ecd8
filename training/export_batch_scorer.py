"""Export the user tower to ONNX for several users at once, checked against torch: a GPU is started once for all.

Writes scorer_batch.onnx   item vectors (n_items, d), and of each user history, query and candidates, padded, as
                           positions → signals (users, n, signals), see recsys.interest
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from training.export import check_against_torch, write_onnx
from training.user_tower import Signals, UserTower

OF_HISTORY = ("history", "age_days", "occasions", "kind", "present", "last")


def export_batch_scorer(tower: UserTower, dimension: int, path: Path) -> float:
    """Write scorer_batch.onnx to `path`; returns the largest difference to torch. Raises BundleError when too large."""
    users = torch.export.Dim("users", min=1)
    items, candidates = torch.export.Dim("items", min=1), torch.export.Dim("candidates", min=1)
    shapes: dict[str, object] = {"vectors": {0: torch.export.Dim("catalogue", min=1)}}
    shapes |= {name: {0: users, 1: items} for name in OF_HISTORY}
    shapes |= {"query": {0: users}, "has_query": {0: users}, "candidates": {0: users, 1: candidates}}
    module, inputs = _OfPositions(tower).eval(), _example(len(tower.types), dimension)
    write_onnx(module, inputs, shapes, list(inputs), "signals", path)
    return check_against_torch(module, inputs, path)


class _OfPositions(nn.Module):
    """The signals, of items named by their positions: their vectors never leave the device."""

    def __init__(self, tower: UserTower) -> None:
        super().__init__()
        self.signals = Signals(tower)

    def forward(
        self,
        vectors: Tensor,
        history: Tensor,
        age_days: Tensor,
        occasions: Tensor,
        kind: Tensor,
        present: Tensor,
        last: Tensor,
        query: Tensor,
        has_query: Tensor,
        candidates: Tensor,
    ) -> Tensor:
        of_history, of_candidates = (nn.functional.embedding(at, vectors) for at in (history, candidates))
        found: Tensor = self.signals(
            of_history, age_days, occasions, kind, present, last, query, has_query, of_candidates
        )
        return found


def _example(types: int, dimension: int) -> dict[str, Tensor]:
    """Three users: with a history of five items, with one of two and a query, and with a query alone."""
    generator = torch.Generator().manual_seed(0)
    vectors, query = (
        nn.functional.normalize(torch.randn(rows, dimension, generator=generator), dim=-1) for rows in (11, 3)
    )
    present = torch.tensor([[1.0] * 5, [1.0, 1.0, 0.0, 0.0, 0.0], [0.0] * 5])
    return {
        "vectors": vectors,
        "history": torch.arange(15).reshape(3, 5) % len(vectors),
        "age_days": torch.tensor([[0.0, 0.0, 3.0, 40.0, 400.0]]).repeat(3, 1),
        "occasions": torch.tensor([[1.0, 3.0, 1.0, 2.0, 9.0]]).repeat(3, 1),
        "kind": torch.arange(15).reshape(3, 5) % types,
        "present": present,
        "last": torch.tensor([[1.0, 1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0], [0.0] * 5]),
        "query": query,
        "has_query": torch.tensor([0.0, 1.0, 1.0]),
        "candidates": torch.arange(21).reshape(3, 7) % len(vectors),
    }
