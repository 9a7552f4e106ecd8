"""The models that ours must beat, as PROTOCOL defines them: simple, and hard to beat.

Each is a function from a user to float64 (n_items,) scores, made from what was known before the cut.
"""

from collections.abc import Callable

import numpy as np
import polars as pl
import scipy.sparse as sp

from features.regression import ease as closed_form
from recsys.catalogue import Catalogue
from recsys.interest import SIGNALS, InterestScorer, Vectors
from recsys.retrieval.interest import popular_interest
from recsys.schema import ITEM_ID, USER_ID
from recsys.state import Floats, ItemState, UserState

Scores = Callable[[UserState], Floats]

EASE_LAMBDA = 300.0
ZERO_SHOT_TEMPERATURE = 12.0
ZERO_SHOT_ITEMS = 40

EASE_MAX_ITEMS = 10_000
"""EASE inverts a dense matrix over all items: for this many 2.4 GB and a minute, and it grows with the cube."""


def popularity(items: ItemState) -> Scores:
    """Distinct users in the 28 days before the cut."""
    users = items.popularity
    return lambda user: users


def personal_frequency(items: ItemState) -> Scores:
    """Distinct occasions with the item, ties by popularity."""
    users = items.popularity
    tie_breaker = users / (1 + users.max(initial=0))

    def scores(user: UserState) -> Floats:
        counts: Floats = tie_breaker.copy()
        counts[user.history] += user.occasions
        return counts

    return scores


def ease(interactions: pl.DataFrame, catalogue: Catalogue) -> Scores:
    """EASE in closed form, diagonal zero, on all interactions given: Steck, "Embarrassingly shallow autoencoders for
    sparse data", 2019."""
    pairs = interactions.select(USER_ID, ITEM_ID).unique()
    rows = (pairs[USER_ID].rank("dense") - 1).to_numpy()
    columns = pairs[ITEM_ID].replace_strict(catalogue.index, return_dtype=pl.Int64).to_numpy()
    chosen = sp.csr_array((np.ones(len(pairs)), (rows, columns)), (int(rows.max()) + 1, len(catalogue)))
    weights = closed_form(chosen, EASE_LAMBDA)

    def scores(user: UserState) -> Floats:
        strength: Floats = weights[user.history].sum(axis=0)
        return strength

    return scores


def zero_shot_text(pretrained: Vectors) -> Scores:
    """Log-sum-exp of 12 × cosine between an item and the last 40 distinct items of the history, nothing learned."""

    def scores(user: UserState) -> Floats:
        cosine = pretrained @ pretrained[user.history[:ZERO_SHOT_ITEMS]].T
        with np.errstate(divide="ignore"):  # without a history
            found: Floats = np.log(np.exp(ZERO_SHOT_TEMPERATURE * cosine).sum(axis=1, dtype=np.float64))
        return found

    return scores


def by_text(scorer: InterestScorer, now: float) -> Scores:
    """Interest by text alone; `now` in seconds since the epoch."""
    column = SIGNALS.index("text_interest")
    return lambda user: scorer.score(user, now)[:, column].astype(np.float64)


def by_text_and_popularity(scorer: InterestScorer, items: ItemState) -> Scores:
    """What the channel interest_popular retrieves by: interest by text and log popularity."""
    by_interest = by_text(scorer, items.now)
    users = items.popularity
    return lambda user: popular_interest(by_interest(user), users)
