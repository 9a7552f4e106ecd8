"""What may be said for an item: a claim stands only where the features of the item bear it out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.fields import CHOSEN_DAYS, windowed
from features.reasons import (
    CATEGORY,
    LIKE_ITEMS,
    NEW,
    POPULAR,
    PRICE,
    QUERY,
    REPEAT,
    RETURNS,
    SHOWN,
    SIMILAR,
    TOGETHER,
    TREND,
    Reason,
)
from recsys.retrieval.fresh import FRESH_SECONDS
from recsys.state import SECONDS_A_DAY, ItemState

NEW_DAYS: Final = FRESH_SECONDS / SECONDS_A_DAY
FITTING_PRICE: Final = (0.5, 2.0)
"""Times what the user usually pays."""

ORTHOGONAL: Final = 0.5
"""What the text model says of two texts that have nothing to do with each other."""

POPULAR_SHARE: Final = 0.25
"""Of the items that anybody chose, so many may be chosen by more."""

WHEN: Final = {
    1: " in the last day",
    7: " this week",
    28: " in the last four weeks",
    90: " in the last three months",
    None: "",
}
"""By the days of a window, None for ever."""


@dataclass(frozen=True)
class Facts:
    """One candidate among those of a request.

    columns   name → column of the matrix
    matrix    float32 (n_candidates, n_features)
    row       of the candidate
    items     all items, among which it stands at `position`
    did       what the user did with it before, as "bought"
    similar   the item of the history that is most like it, as "TITLE, which you bought", if there is one
    together  the one that it goes with, likewise
    """

    columns: Mapping[str, int]
    matrix: NDArray[np.float32]
    row: int
    items: ItemState
    position: int
    did: str
    similar: str | None
    together: str | None

    def value(self, name: str) -> float:
        """NaN where it is not known, or no feature of the project."""
        return float(self.matrix[self.row, self.columns[name]]) if name in self.columns else np.nan

    def is_above_most(self, name: str) -> bool:
        """Whether more than half of the candidates have less of it."""
        if name not in self.columns:
            return False
        return float((self.matrix[:, self.columns[name]] < self.value(name)).mean()) > 0.5


def claim(reason: Reason, facts: Facts, strongest: str) -> str | None:
    """What can be said; None where nothing can.

    strongest  the feature of the reason that speaks for the item most
    """
    value, is_above_most = facts.value, facts.is_above_most
    match reason.name:
        case REPEAT.name if value("times_chosen") > 0:
            return f"you {facts.did} it before"
        case TOGETHER.name if facts.together is not None:
            return f"goes with {facts.together}"
        # Above what the text model says of the average item for this user.
        case SIMILAR.name if facts.similar is not None and value("text_interest_z") > 0:
            return f"similar to {facts.similar}"
        case CATEGORY.name if value("category_affinity") > 0 or value("session_category_share") > 0:
            return "of a category that you choose"
        case QUERY.name if value("text_query") > ORTHOGONAL and is_above_most("text_query"):
            return "answers your query"
        case POPULAR.name:
            return _popular(facts, strongest)
        case TREND.name if value("item_trend") > 1:
            return "chosen more this week than before"
        case NEW.name if min(_known(value("item_age_days")), _known(value("item_published_at_days"))) <= NEW_DAYS:
            return "new"
        case RETURNS.name if is_above_most("item_again_28d"):
            return "more come back to it than to most"
        case SHOWN.name if any(is_above_most(name) for name in facts.columns if name.startswith("item_ctr_")):
            return "chosen more often than most when it is shown"
        case LIKE_ITEMS.name if is_above_most("topic_users_28d"):
            return "items like it are chosen more than most"
        case PRICE.name if _fits(value("price_fit"), value("value_fit")):
            return "fits your price range"
    return None


def _popular(facts: Facts, strongest: str) -> str | None:
    """By the window of the feature that speaks for it; a rank or a figure without one is of CHOSEN_DAYS."""
    window = re.search(r"_(\d+)d$", strongest)
    days = int(window[1]) if window else None if strongest.startswith("item_") else CHOSEN_DAYS
    users = facts.items.column(windowed("users", days))
    own = users[facts.position]
    if not own > 0 or np.count_nonzero(users > own) > POPULAR_SHARE * np.count_nonzero(users > 0):
        return None
    return f"popular{WHEN[days]}"


def _fits(*ratios: float) -> bool:
    """Whether the first that is known is a fitting price."""
    known = [ratio for ratio in ratios if not np.isnan(ratio)]
    return bool(known) and FITTING_PRICE[0] <= known[0] <= FITTING_PRICE[1]


def _known(days: float) -> float:
    return np.inf if np.isnan(days) else days
