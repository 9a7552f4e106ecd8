"""What users did next: a history, perhaps a query, and the items that followed among those that might have.

Without impressions nobody knows what a user did not want. So candidates are sampled, those that are chosen often more
often, and the softmax over them is corrected for it (logQ): Bengio and Senécal, "Adaptive importance sampling to
accelerate training of a neural probabilistic language model", 2008.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from recsys.state import Floats, Positions
from training.histories import Log, PaddedPasts

EXAMPLES_A_STEP = 32
CANDIDATES_A_STEP = 1024


@dataclass(frozen=True)
class Choices:
    """What several users chose among candidates.

    pasts       of n users at the moment of the choice
    candidates  int64 (c,) for all of them, or (n, c) for each its own
    targets     float32 (labels, n, c), how much each candidate was chosen
    offset      float32, as candidates: added to the logits, - log q of the sampling; minus infinity for padding
    queries     the text of each user, or None
    """

    pasts: PaddedPasts
    candidates: Tensor
    targets: Tensor
    offset: Tensor
    queries: list[str | None]


class NextChoices:
    """The occasions of a log that follow others or begin with a query, to draw from."""

    def __init__(self, log: Log, labels: Sequence[str], *, repeat_weight: float, history_items: int) -> None:
        self._log, self._history_items, self._repeat_weight = log, history_items, repeat_weight
        self._label_kinds = [log.types.index(label) for label in labels]
        self.seen_until = log.seen_until
        starts = log.occasion_starts
        ends = np.append(starts[1:], len(log.item))
        user = np.searchsorted(log.starts, starts, side="right") - 1
        has_label = np.add.reduceat(np.isin(log.kind, self._label_kinds), starts) > 0
        asked = np.array([log.query[row] is not None for row in starts])
        usable = has_label & ((starts > log.starts[user]) | asked)
        self._starts, self._ends, self._user = starts[usable], ends[usable], user[usable]

    def __len__(self) -> int:
        return len(self._starts)

    @cached_property
    def _share(self) -> Floats:
        """The share of all interactions that each item of the log has, by position; 0 for one never chosen."""
        counts = np.bincount(self._log.item).astype(np.float64)
        share: Floats = counts / counts.sum()
        return share

    @cached_property
    def _first_of_users(self) -> Positions:
        return np.flatnonzero(np.append(True, np.diff(self._user) != 0))

    def draw(self, random: np.random.Generator) -> Choices:
        """EXAMPLES_A_STEP occasions: users evenly, then one of the user's, so that nobody outvotes the others."""
        first = self._first_of_users
        size = np.diff(np.append(first, len(self)))
        who = random.integers(len(first), size=EXAMPLES_A_STEP)
        drawn = first[who] + (random.random(EXAMPLES_A_STEP) * size[who]).astype(np.int64)
        log = self._log
        chosen = [np.arange(self._starts[at], self._ends[at]) for at in drawn]
        positives = np.concatenate([log.item[rows] for rows in chosen])
        candidates, included = self._candidates(positives, random)
        place = {int(item): at for at, item in enumerate(candidates)}
        targets = torch.zeros(len(self._label_kinds), len(drawn), len(candidates))
        pasts = []
        for row, (at, rows) in enumerate(zip(drawn, chosen, strict=True)):
            past = log.past(int(self._user[at]), float(log.time[self._starts[at]]), self._history_items)
            pasts.append(past)
            had = set(past.items.tolist())
            for item, kind in zip(log.item[rows].tolist(), log.kind[rows].tolist(), strict=True):
                if kind in self._label_kinds:
                    worth = self._repeat_weight if item in had else 1.0
                    targets[self._label_kinds.index(kind), row, place[item]] = worth
        offset = -np.log(included)
        return Choices(
            PaddedPasts.of(pasts),
            torch.from_numpy(candidates),
            targets,
            torch.from_numpy(offset.astype(np.float32)),
            [log.query[self._starts[at]] for at in drawn],
        )

    def _candidates(self, positives: Positions, random: np.random.Generator) -> tuple[Positions, Floats]:
        """The positives and as many others as there is room for, and how likely each was to be among them."""
        share = self._share
        others = random.choice(len(share), size=CANDIDATES_A_STEP, p=share)
        candidates = np.unique(np.concatenate([positives, others]))
        draws = CANDIDATES_A_STEP + len(positives)
        return candidates, -np.expm1(draws * np.log1p(-share[candidates].clip(max=1 - 1e-9)))
