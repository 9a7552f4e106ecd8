"""What the text model learns from: items that the same users chose.

Predicting the next item teaches an encoder what sold last month, and it forgets how to read. Contrast of items that the
same users chose keeps it reading: users weigh less the more they bought, items are drawn evenly, and the strength of a
pair is its lift over chance.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import scipy.sparse as sp

from features.cooccurrence import cooccurrence
from recsys.catalogue import Catalogue
from recsys.errors import DataError, LeakError
from recsys.schema import ITEM_ID, TIMESTAMP
from recsys.state import Mask, Positions

SHARPNESS = 6
"""Power of a pair's strength: in a wholesaler's big baskets nearly everything goes with everything; only the strongest
pairs tell what goes together."""


@dataclass(frozen=True)
class ChosenTogether:
    """How strongly the same users chose two items.

    strength    float32 (n_items, n_items) sparse, diagonal zero, rows up to scale
    items       int64, positions with at least one partner
    seen_until  the time of the latest interaction in it: what the model learns here may not score anything before that
    """

    strength: sp.csr_array
    items: Positions
    seen_until: datetime


def chosen_together(interactions: pl.DataFrame, catalogue: Catalogue, *, held_out: Mask) -> ChosenTogether:
    """From all interactions given, except those with items marked in `held_out`, bool (n_items,).

    strength = cosine ** SHARPNESS, see features.cooccurrence; `items` is empty when no two items share a user. Raises
    DataError when no interaction is left.
    """
    column = pl.col(ITEM_ID).replace_strict(catalogue.index, default=None, return_dtype=pl.Int64)
    learned = interactions.with_columns(position=column).drop_nulls("position")
    learned = learned.filter(~pl.Series(held_out)[learned["position"].to_numpy()])
    seen_until = learned[TIMESTAMP].max()
    if not isinstance(seen_until, datetime):
        raise DataError("interactions: none are left to learn from; import more, or set finetune.max_steps = 0")
    after_all = seen_until + timedelta(microseconds=1)
    strength = cooccurrence(learned, catalogue, after_all, damping=0.5, half_life_days=math.inf)
    strength.data **= SHARPNESS
    return ChosenTogether(strength, np.flatnonzero(np.diff(strength.indptr)), seen_until)


def assert_out_of_fold(seen_until: datetime, scored_from: datetime) -> None:
    """A model may score rows of a window only when it learned nothing from that window or later.

    Raises LeakError, because a ranker trained on scores that the text model memorised trusts them too much.
    """
    if seen_until >= scored_from:
        raise LeakError(
            f"the text model learned from interactions until {seen_until} and is to score rows from {scored_from} on; "
            "expected a model that saw only what came before; train it on the interactions before that window"
        )
