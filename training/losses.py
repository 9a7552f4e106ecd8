"""What the text model is asked to get right, and what it must not forget."""

import torch
from torch import Tensor


def contrast(vectors: Tensor, strength: Tensor, temperature: float) -> Tensor:
    """Cross entropy between what goes with each item of a batch and what its vector is near to.

    vectors   (n, d) unit length
    strength  (n, n), how strongly each row's item goes with each column's; a row of zeros is left out

    InfoNCE with graded targets; van den Oord, Li and Vinyals, "Representation learning with contrastive predictive
    coding", 2018.
    """
    near = temperature * vectors @ vectors.T
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    return listwise(near.masked_fill(itself, torch.finfo(near.dtype).min), strength)


def listwise(scores: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of the softmax over each row of scores (…, n) with targets (…, n) ≥ 0.

    A row without a target is left out; 0 when none has one. Cao et al., "Learning to rank: from pairwise approach to
    listwise approach", 2007.
    """
    total = targets.sum(-1, keepdim=True)
    counts = (total > 0).to(scores.dtype).squeeze(-1)
    # Times zero rather than left out, so that the shapes do not depend on the data.
    # Padding has the score minus infinity, and zero times that is no number.
    log_share = torch.log_softmax(scores, -1).where(targets > 0, 0.0)
    losses = -(targets / total.clamp_min(1e-12) * log_share).sum(-1) * counts
    return losses.sum() / counts.sum().clamp_min(1)


def drift(vectors: Tensor, pretrained: Tensor) -> Tensor:
    """How far unit vectors (n, d) went from the pretrained ones: mean of 1 - cosine."""
    return 1 - (vectors * pretrained).sum(1).mean()
