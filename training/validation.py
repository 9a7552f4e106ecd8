"""Does the text model get better? Measured on items that users chose for the first time in a later window.

Two numbers: over all unseen items, and over held-out items alone, of which the model learned from no interaction. The
second falls when a model forgets how to read.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import torch
from torch import Tensor

from features.aggregate import user_history
from recsys.catalogue import Catalogue
from recsys.metrics import NDCG_AT, per_user_metrics
from recsys.retrieval.merge import best
from recsys.schema import ITEM_ID, TIMESTAMP, USER_ID
from recsys.state import Mask, Positions
from training.user_tower import LateInteraction

MAX_USERS = 400
NDCG = f"ndcg@{NDCG_AT}"


@dataclass(frozen=True)
class TextCase:
    """A user: what is known, which items are ranked, and which of them the user then chose for the first time."""

    history: Positions
    last: Mask
    ranked: Mask
    relevant: frozenset[int]


@dataclass(frozen=True)
class TextValidation:
    """The cases of a window: over all unseen items, and over held-out ones with a history that never held them."""

    unseen: list[TextCase]
    held_out: list[TextCase]

    def measure(self, vectors: Tensor) -> dict[str, float]:
        """ndcg@10 of item vectors (n_items, d) on each kind of case; 0 where there is no case."""
        return {"unseen": _ndcg(self.unseen, vectors), "held_out": _ndcg(self.held_out, vectors)}


def text_validation(
    interactions: pl.DataFrame,
    catalogue: Catalogue,
    start: datetime,
    *,
    days: int,
    history_items: int,
    held_out: Mask,
    hidden: Mask,
) -> TextValidation:
    """The window of `days` from `start`. `hidden` items, bool (n_items,), are nowhere: not in a history, not ranked."""
    window = interactions.filter(pl.col(TIMESTAMP).is_between(start, start + timedelta(days=days), closed="left"))
    chosen = dict(window.group_by(USER_ID).agg(pl.col(ITEM_ID).unique()).iter_rows())
    histories = user_history(interactions.filter(pl.col(USER_ID).is_in(list(chosen))), start)
    # A sample of the users is as good for choosing a step, and quicker.
    users = histories.sample(min(MAX_USERS, len(histories)), seed=0)
    validation = TextValidation([], [])
    for user, items, times in users.select(USER_ID, "history_items", "history_last_at").iter_rows():
        history = np.array([catalogue.index[item] for item in items])
        latest = np.array(times) == times[0]
        wanted = {catalogue.index[item] for item in chosen[user]} - set(history.tolist())
        for cases, never_seen, rankable in (
            (validation.unseen, hidden, ~hidden),
            (validation.held_out, hidden | held_out, held_out & ~hidden),
        ):
            keep = ~never_seen[history]
            ranked = rankable.copy()
            ranked[history] = False
            relevant = frozenset(item for item in wanted if ranked[item])
            if keep.any() and relevant:
                known = history[keep][:history_items]
                cases.append(TextCase(known, latest[keep][:history_items], ranked, relevant))
    return validation


def _ndcg(cases: list[TextCase], vectors: Tensor) -> float:
    if not cases:
        return 0.0
    score = LateInteraction()
    top = []
    with torch.no_grad():
        for case in cases:
            last = torch.from_numpy(case.last.astype(np.float32))
            interest = score(vectors[torch.from_numpy(case.history)], last, vectors)[:, 0].double().numpy()
            top.append(best(np.where(case.ranked, interest, -np.inf), NDCG_AT))
    return float(per_user_metrics(top, [case.relevant for case in cases])[NDCG].mean())
