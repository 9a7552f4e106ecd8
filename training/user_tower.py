"""The user tower: how interesting an item is to a user with a history, or to one who asks for something, or both.

A user is many interests, not one mean: each candidate is compared with every item of the history, and a soft maximum
(log-sum-exp) over the history says how interesting it is. How much an item of the history weighs is learned: by its
age, by how often it was chosen and by the type of the interaction, for each label (click, purchase, …) on its own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from recsys.config import Config

AGE_UNIT_DAYS = 7.0
"""Weights fall as (1 + age / a week) to a learned power: gaps between interactions run from minutes to years."""

FIRST_POWER = 0.5
"""Of age and occasions before anything is learned: what is recent or often chosen counts more, by the square root."""

CLOSE, CLOSE_SHARPNESS = 0.75, 40.0
"""Cosine from which on an item counts as a close one, and how sharp that limit is."""

ABSENT = -1e4
"""Log weight of what is not there; finite, because the soft maximum of nothing but minus infinity is no number."""

TINY = 1e-30
"""Keeps the logarithm finite where all that counts is far from the candidate, at temperatures above 30."""


@dataclass(frozen=True)
class History:
    """What users chose, the latest first: (…, h) beside one another, where … may be a batch.

    vectors    float32 (…, h, d), unit length
    age_days   float32, days since the last interaction with the item
    occasions  float32, how often the user chose it
    kind       int64, the type of the interaction: its place in the tower's `types`
    present    float32, 1 for an item, 0 for padding
    """

    vectors: Tensor
    age_days: Tensor
    occasions: Tensor
    kind: Tensor
    present: Tensor


class UserTower(nn.Module):
    """A score for each label. It starts as the soft maximum over a history, what is recent or often chosen first."""

    def __init__(self, types: Sequence[str], labels: Mapping[str, float], temperature: float) -> None:
        """`types`: every interaction type; `labels`: those that are predicted, with their weights."""
        super().__init__()
        self.types, self.labels, self.temperature = tuple(types), tuple(labels), temperature
        share = torch.tensor(list(labels.values()), dtype=torch.float32)
        self.label_share: Tensor
        self.register_buffer("label_share", share / share.sum(), persistent=False)
        count = len(labels)
        self.age_power = nn.Parameter(torch.full((count,), FIRST_POWER))
        self.occasions_power = nn.Parameter(torch.full((count,), FIRST_POWER))
        self.kind_weight = nn.Parameter(torch.zeros(count, len(types)))
        # Who asks for something mostly wants just that: a query starts with three quarters of the say.
        self.query_gate = nn.Parameter(torch.full((count,), math.log(3.0)))
        self.query_gate_slope = nn.Parameter(torch.zeros(count))

    @classmethod
    def configured(cls, config: Config) -> Self:
        """That of recsys.toml, untaught."""
        labels = {name: config.interaction_types[name].weight for name in config.label_types}
        return cls(sorted(config.interaction_types), labels, config.finetune.temperature)

    def parameters_by_name(self) -> dict[str, Any]:
        """All that the interest depends on, as plain numbers and lists: what recsys.soft_maximum computes with."""
        learned = {name: weight.tolist() for name, weight in self.state_dict().items()}
        fixed = {"temperature": self.temperature, "age_unit_days": AGE_UNIT_DAYS}
        return {**fixed, "label_share": self.label_share.tolist(), **learned}

    def log_weights(self, history: History) -> Tensor:
        """How much each item of a history weighs, as a logarithm that sums to 1: (labels, …, h)."""
        shape = (-1,) + (1,) * history.age_days.dim()
        recency = -self.age_power.view(shape) * torch.log1p(history.age_days.clamp_min(0) / AGE_UNIT_DAYS)
        often = self.occasions_power.view(shape) * torch.log(history.occasions.clamp_min(1))
        weight = recency + often + self.kind_weight[:, history.kind]
        return torch.log_softmax(torch.where(history.present > 0, weight, torch.full_like(weight, ABSENT)), dim=-1)

    def interest(self, history: History, candidates: Tensor) -> Tensor:
        """The soft maximum for each label, a cosine in [-1, 1]: (labels, …, n) of candidates (n, d) or (…, n, d)."""
        cosine = self.temperature * history.vectors @ candidates.transpose(-1, -2)
        return torch.logsumexp(cosine + self.log_weights(history).unsqueeze(-1), dim=-2) / self.temperature

    def query_share(self, history: History) -> Tensor:
        """How much a query counts beside the history, in (0, 1): (labels, …)."""
        length = torch.log1p(history.present.sum(-1))
        shape = (-1,) + (1,) * length.dim()
        return torch.sigmoid(self.query_gate.view(shape) + self.query_gate_slope.view(shape) * length)

    def blended(self, history: History, candidates: Tensor, query: Tensor, has_query: Tensor) -> Tensor:
        """Interest with a query (…, d) beside or instead of the history, has_query (…) 1 or 0: (labels, …, n)."""
        asked = (candidates @ query.unsqueeze(-1)).squeeze(-1)
        return self.blend(history, self.interest(history, candidates), asked, has_query)

    def blend(self, history: History, interest: Tensor, asked: Tensor, has_query: Tensor) -> Tensor:
        """The interest by the history (labels, …, n) and the cosine to the query (…, n), each with its share."""
        has_history = (history.present.sum(-1) > 0).to(asked.dtype)
        share = has_query * torch.where(has_history > 0, self.query_share(history), torch.ones_like(has_history))
        return (1 - share.unsqueeze(-1)) * interest + share.unsqueeze(-1) * asked


class Signals(nn.Module):
    """What is exported as scorer.onnx: a user's signals, in the order of recsys.interest.signal_names."""

    def __init__(self, tower: UserTower) -> None:
        super().__init__()
        self.tower = tower

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
    ) -> Tensor:
        """(…, n, signals), each in [0, 1] but for the count of close items; … may be a batch of users.

        history (…, h, d) and beside it (…, h): age_days, occasions, kind int64, present, last (1 for the latest
        occasion); query (…, d), has_query (…) 1 or 0; candidates (…, n, d). Without a history one row with present 0
        stands for it.
        """
        known = History(history, age_days, occasions, kind, present)
        temperature = self.tower.temperature
        # One product, and one exponential for the soft maxima of all labels and of the latest occasion.
        product = torch.cat((history, query.unsqueeze(-2)), dim=-2) @ candidates.transpose(-1, -2)
        cosine, asked = product[..., :-1, :], product[..., -1, :]
        nearest = torch.where(present.unsqueeze(-1) > 0, cosine, -torch.ones_like(cosine)).amax(-2)
        of_last = last.sum(-1, keepdim=True)
        of_labels = self.tower.log_weights(known).exp().movedim(0, -2)
        weights = torch.cat((of_labels, (last / of_last.clamp_min(1)).unsqueeze(-2)), dim=-2)
        near = weights @ torch.exp(temperature * (cosine - nearest.unsqueeze(-2)).clamp_max(0))
        soft = (nearest.unsqueeze(-2) + torch.log(near.clamp_min(TINY)) / temperature).movedim(-2, 0)
        recent = torch.where(of_last > 0, soft[-1], -torch.ones_like(nearest))
        labels = self.tower.blend(known, soft[:-1], asked, has_query)
        # Of one user () here; servers send (1,).
        has_query = has_query.reshape((*nearest.shape[:-1], 1))
        asked = torch.where(has_query > 0, asked, -torch.ones_like(nearest))
        share = self.tower.label_share.view((-1,) + (1,) * nearest.dim())
        each = labels.unbind(0) if len(self.tower.labels) > 1 else ()
        cosines = torch.stack(((share * labels).sum(0), nearest, recent, asked, *each), dim=-1)
        cosines = (cosines.clamp(-1, 1) + 1) / 2
        # A soft threshold, so that a rounding error cannot change the count by one.
        close = (present.unsqueeze(-2) @ torch.sigmoid(CLOSE_SHARPNESS * (cosine - CLOSE))).transpose(-1, -2)
        return torch.cat((cosines[..., :4], close, cosines[..., 4:]), dim=-1)
