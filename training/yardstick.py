"""What the list of every model on every task is measured with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from recsys import list_quality
from recsys.catalogue import Catalogue
from recsys.config import Evaluation
from recsys.interest import Vectors
from recsys.metrics import Hits, as_matrix, metrics_of, summarise
from recsys.schema import ITEM_ID, USER_ID
from recsys.state import Floats, Mask, Positions, UserState

CURVE_AT: Final = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500)
"""Where the curves over k have their points, down to the deepest k that is configured."""


@dataclass(frozen=True)
class Case:
    """A user in a task: what is known, what may not be ranked, and what was then chosen."""

    user: UserState
    exclude: Mask
    relevant: frozenset[int]
    user_id: str


@dataclass(frozen=True)
class Measured:
    """One model on one task.

    values   metric → float64 (n_users,), NaN where a user has no value
    summary  the means with their intervals, and metrics of all lists together: see recsys.metrics.summarise
    curves   "recall" and "ndcg" → the mean at each k of Yardstick.curve_at
    """

    values: dict[str, Floats]
    summary: dict[str, Any]
    curves: dict[str, list[float]]


@dataclass(frozen=True)
class Yardstick:
    """What does not depend on the model.

    at           the configured k
    information  float64 (n_items,), bits: how rare each item was before the cut
    vectors      (n_items, d), unit vectors of the texts by the pretrained model: no model is measured by its own
    """

    at: Evaluation
    information: Floats
    vectors: Vectors

    @property
    def curve_at(self) -> list[int]:
        """The k at which the curves have their points."""
        return sorted({*(k for k in CURVE_AT if k < self.at.deepest), self.at.deepest})

    def measure(self, top: Sequence[Positions], cases: Sequence[Case]) -> Measured:
        """Of the lists of one model, one for each case, best first."""
        at = self.at
        lists = as_matrix(top, depth=at.deepest)
        hits = Hits.of(lists, [case.relevant for case in cases])
        values = metrics_of(hits, at)
        values |= {f"novelty@{k}": list_quality.novelty(lists, self.information, k=k) for k in at.novelty_at}
        values |= {f"diversity@{k}": list_quality.diversity(lists, self.vectors, k=k) for k in at.diversity_at}
        rankable = len(self.information) - int(np.logical_and.reduce([case.exclude for case in cases]).sum())
        coverage = {f"coverage@{k}": list_quality.coverage(lists, k=k, rankable=rankable) for k in at.coverage_at}
        curves = {
            "recall": [float(hits.recall(k).mean()) for k in self.curve_at],
            "ndcg": [float(hits.ndcg(k).mean()) for k in self.curve_at],
        }
        return Measured(values, {**summarise(values), **coverage}, curves)


def users_of_items(interactions: pl.DataFrame, catalogue: Catalogue) -> Positions:
    """How many distinct users had each item: int64 (n_items,)."""
    users = np.zeros(len(catalogue), dtype=np.int64)
    for item, count in interactions.group_by(ITEM_ID).agg(pl.col(USER_ID).n_unique()).iter_rows():
        if item in catalogue.index:
            users[catalogue.index[item]] = count
    return users
