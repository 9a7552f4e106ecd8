"""Does the text model get better? Measured on what users chose in a later window.

Three kinds of case: items chosen for the first time, over the whole catalogue; of these the held-out items alone, of
which the model learned from no interaction, so that a model that forgets how to read shows it; and what was chosen
after typing a query.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import torch
from torch import Tensor

from recsys.catalogue import Catalogue
from recsys.config import Config
from recsys.metrics import NDCG_AT, per_user_metrics
from recsys.retrieval.merge import best
from recsys.schema import EVENT_TYPE, ITEM_ID, QUERY, TIMESTAMP, USER_ID
from recsys.state import Mask
from training.histories import Log, PaddedPasts, Past
from training.user_tower import History, UserTower

MAX_USERS = 400
NDCG = f"ndcg@{NDCG_AT}"

Encode = Callable[[Sequence[str]], Tensor]
"""Texts to unit vectors (n, d)."""


@dataclass(frozen=True)
class TextCase:
    """What is known of a user, which items are ranked, bool (n_items,), and which of them the user then chose."""

    past: Past
    ranked: Mask
    relevant: frozenset[int]
    query: str | None = None


@dataclass(frozen=True)
class TextValidation:
    """The cases of a window, by kind."""

    unseen: list[TextCase] = field(default_factory=list)
    held_out: list[TextCase] = field(default_factory=list)
    asked: list[TextCase] = field(default_factory=list)

    def measure(self, vectors: Tensor, tower: UserTower, encode: Encode) -> dict[str, float]:
        """ndcg@10 on each kind of case that there is, of item vectors (n_items, d)."""
        kinds = {"unseen": self.unseen, "held_out": self.held_out, "asked": self.asked}
        return {kind: ndcg_of(cases, vectors, tower, encode) for kind, cases in kinds.items() if cases}


def text_validation(
    interactions: pl.DataFrame,
    catalogue: Catalogue,
    config: Config,
    start: datetime,
    *,
    days: int,
    held_out: Mask,
    hidden: Mask,
) -> TextValidation:
    """The window of `days` from `start`. `hidden` items, bool (n_items,), are nowhere: not in a history, not ranked."""
    validation = TextValidation()
    end = start + timedelta(days=days)
    log = Log.of(interactions.filter(pl.col(TIMESTAMP) < end), catalogue, config.interaction_types, without=hidden)
    if log is None:
        return validation
    labels = pl.col(EVENT_TYPE).is_in(config.label_types)
    window = interactions.filter(pl.col(TIMESTAMP).is_between(start, end, closed="left"), labels)
    if QUERY not in window.columns:
        window = window.with_columns(pl.lit(None, pl.String).alias(QUERY))
    chosen = window.filter(pl.col(QUERY).is_null()).group_by(USER_ID).agg(pl.col(ITEM_ID).unique()).sort(USER_ID)
    # A sample of the users is as good for choosing a step, and quicker.
    for user, items in chosen.sample(min(MAX_USERS, len(chosen)), seed=0).iter_rows():
        if user not in log.users:
            continue
        past = log.past(log.users[user], start.timestamp(), len(catalogue))
        wanted = {catalogue.index[item] for item in items if item in catalogue.index} - set(past.items.tolist())
        for cases, never_seen, rankable in (
            (validation.unseen, hidden, ~hidden),
            (validation.held_out, hidden | held_out, held_out & ~hidden),
        ):
            keep = past.only(~never_seen[past.items]).latest(config.finetune.history_items)
            ranked = rankable.copy()
            ranked[past.items] = False
            relevant = frozenset(item for item in wanted if ranked[item])
            if len(keep.items) and relevant:
                cases.append(TextCase(keep, ranked, relevant))
    asked = window.filter(pl.col(QUERY).is_not_null(), pl.col(ITEM_ID).is_in(list(catalogue.index)))
    asked = asked.sample(min(MAX_USERS, len(asked)), seed=0).sort(TIMESTAMP, USER_ID, ITEM_ID)
    for user, item, time, query in asked.select(USER_ID, ITEM_ID, TIMESTAMP, QUERY).iter_rows():
        at, position = log.users.get(user), catalogue.index[item]
        past = Past.empty() if at is None else log.past(at, time.timestamp(), config.finetune.history_items)
        if not hidden[position]:
            validation.asked.append(TextCase(past, ~hidden, frozenset([position]), query))
    return validation


@torch.no_grad()
def ndcg_of(cases: Sequence[TextCase], vectors: Tensor, tower: UserTower, encode: Encode | None = None) -> float:
    """Mean ndcg@10 over cases; `encode` is needed for those with a query."""
    device = vectors.device
    texts = sorted({case.query for case in cases if case.query is not None})
    queries = dict(zip(texts, encode(texts), strict=True)) if encode is not None and texts else {}
    top = []
    for case in cases:
        past = PaddedPasts.of([case.past]).to(device)
        history = History(vectors[past.items], past.age_days, past.occasions, past.kind, past.present)
        if case.query is None:
            scores = tower.interest(history, vectors)
        else:
            asked = torch.ones(1, device=device)
            scores = tower.blended(history, vectors, queries[case.query].unsqueeze(0), asked)
        interest = (tower.label_share.view(-1, 1, 1) * scores).sum(0)[0].double().cpu().numpy()
        top.append(best(np.where(case.ranked, interest, -np.inf), NDCG_AT))
    return float(per_user_metrics(top, [case.relevant for case in cases])[NDCG].mean())
