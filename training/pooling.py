"""How the vectors of a text's tokens become one: their mean, the first one, or a mean with learned weights."""

from typing import Literal

import torch
from torch import Tensor, nn


class Pooling(nn.Module):
    """`attention` weighs a token by the softmax of q·h. q starts at zero, where that is exactly the mean."""

    def __init__(self, kind: Literal["mean", "cls", "attention"], dimension: int) -> None:
        super().__init__()
        self.kind = kind
        self.query = nn.Parameter(torch.zeros(dimension)) if kind == "attention" else None

    @property
    def learns(self) -> bool:
        """Whether it changes while it is trained."""
        return self.query is not None

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """(n, d) of hidden states (n, length, d); attention_mask (n, length) is 1 for a token, 0 for padding."""
        if self.kind == "cls":
            return hidden[:, 0]
        is_padding = attention_mask[..., None] == 0
        # Not a product with the mask: what a kernel leaves in padding need not be a number.
        hidden = hidden.masked_fill(is_padding, 0)
        if self.query is None:
            return hidden.sum(1) / attention_mask.sum(1, keepdim=True).to(hidden.dtype).clamp_min(1)
        weights = (hidden @ self.query)[..., None]
        weights = weights.masked_fill(is_padding, torch.finfo(weights.dtype).min)
        return (weights.softmax(1) * hidden).sum(1)
