"""The user tower: the late interaction that scores the items of a catalogue against a history.

A user is many interests, not one mean: each candidate is compared with every item of the history, and a soft maximum
(log-sum-exp) over the history says how interesting it is.
"""

import torch
from torch import Tensor, nn

TEMPERATURE = 15.0
"""How sharp the soft maximum is: the same in training and in scoring."""


class LateInteraction(nn.Module):
    """Scores candidates against a history; exported as scorer.onnx, whose outputs are recsys.interest.SIGNALS."""

    def forward(self, history: Tensor, last: Tensor, candidates: Tensor) -> Tensor:
        """(n, 3), each in [0, 1]; history (h, d), last (h,) is 1 for the latest occasion, candidates (n, d)."""
        cosine = candidates @ history.T
        # log(mean(exp)) / temperature lies between the mean and the maximum of the cosines.
        size = torch.ones_like(last).sum()
        interest = (torch.logsumexp(TEMPERATURE * cosine, 1) - torch.log(size)) / TEMPERATURE
        of_last = TEMPERATURE * cosine + torch.log(last.clamp_min(1e-30))
        recent = (torch.logsumexp(of_last, 1) - torch.log(last.sum().clamp_min(1e-30))) / TEMPERATURE
        signals = torch.stack((interest, cosine.amax(1), recent), dim=1)
        return (signals.clamp(-1, 1) + 1) / 2
