"""The one feature matrix: item, user and crosses of both, the same code for training and for serving.

A row is a candidate, a column a feature of feature_names in that order; what is not known is NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from features.definitions import ITEM_FIELDS, USER_FIELDS
from features.standing import STANDING_FEATURES
from features.topics import TOPIC_FEATURES, Topics
from recsys.interest import Vectors
from recsys.state import SECONDS_A_DAY, Floats, ItemState, Positions, UserState

Values = TypeVar("Values", Floats, np.float64)

TIMES: Final = ("first_at", "last_at")
# Fields that add up, and are no feature but what shares and means are made of.
PARTS: Final = ("returned", "pairs", "value_sum", "value_count", *TIMES)
ITEM_COUNTS: Final = tuple(field.name for field in ITEM_FIELDS if field.name not in PARTS)
USER_COUNTS: Final = tuple(field.name for field in USER_FIELDS if field.name not in PARTS)

ITEM_FEATURES: Final = (
    *(f"item_{name}" for name in ITEM_COUNTS),
    "item_repeat_share",  # of its users those who came back to it on another occasion
    "item_value_mean",
)
USER_FEATURES: Final = (
    *(f"user_{name}" for name in USER_COUNTS),
    "user_items_per_occasion",
    "user_repeat_share",  # of the pairs of occasion and item those that repeat one
    "user_gap_days",  # mean days between two occasions; not known before the second
    "user_value_mean",
)
AGES: Final = ("item_age_days", "item_idle_days", "user_age_days", "user_idle_days")
CROSSES: Final = (
    "item_trend",  # users of the last week against those of the last four, 1 = steady
    "value_fit",  # mean value of the item against the user's
    "times_chosen",
    "share_of_occasions",
    "days_since_chosen",
    "own_gap_days",  # mean days between the user's occasions with this item
    "gap_fit",  # days since chosen against the own gap
    "in_last_occasion",
    "history_rank",  # 0 = the item chosen last
    "cooccurrence_sum",
    "cooccurrence_max",
    "cooccurrence_last_occasion",
)
BEHAVIOUR_FEATURES: Final = (*ITEM_FEATURES, *USER_FEATURES, *AGES, *CROSSES)


def feature_names(signals: Sequence[str] = ()) -> tuple[str, ...]:
    """The columns of the matrix: behaviour and, with a text model, the signals of its scorer and what is made of it."""
    return (*BEHAVIOUR_FEATURES, *signals, *STANDING_FEATURES, *TOPIC_FEATURES) if signals else BEHAVIOUR_FEATURES


@dataclass(frozen=True)
class OfText:
    """What a text model adds to the matrix.

    signals  float32 (n_candidates, n_signals), interest by text in each candidate and its standing
    topics   of the moment of the items
    """

    signals: Vectors
    topics: Topics


def assemble(user: UserState, items: ItemState, candidates: Positions, text: OfText | None) -> NDArray[np.float32]:
    """float32 (n_candidates, n_features) in the order of feature_names; `text` None: behaviour alone.

    candidates  int64 (n_candidates,)
    """
    behaviour = items.behaviour[candidates]
    item = {field.name: behaviour[:, at] for at, field in enumerate(ITEM_FIELDS)}
    user_values = {field.name: user.behaviour[at] for at, field in enumerate(USER_FIELDS)}
    columns = _of_items(item) + _of_user(user_values)
    columns += [(items.now - values[name]) / SECONDS_A_DAY for values in (item, user_values) for name in TIMES]
    cooccurrence = _cooccurrence(user, items)
    columns += _crosses(user, items, candidates, item, user_values)
    columns += [values[candidates] for values in cooccurrence]
    if text is not None:
        columns += list(text.signals.T)
        columns += text.topics.features(user, items.now, cooccurrence[0], candidates)
    matrix = np.empty((len(candidates), len(columns)), dtype=np.float32)
    for at, column in enumerate(columns):
        matrix[:, at] = column
    return matrix


def _of_items(item: dict[str, Floats]) -> list[Floats]:
    """The columns of ITEM_FEATURES."""
    with np.errstate(invalid="ignore"):
        repeat_share = item["returned"] / item["users"]
    return [*(item[name] for name in ITEM_COUNTS), repeat_share, _value_mean(item)]


def _of_user(user: dict[str, np.float64]) -> list[np.float64]:
    """The values of USER_FEATURES."""
    span_days = (user["last_at"] - user["first_at"]) / SECONDS_A_DAY
    with np.errstate(divide="ignore", invalid="ignore"):
        return [
            *(user[name] for name in USER_COUNTS),
            user["pairs"] / user["occasions"],
            1 - user["distinct_items"] / user["pairs"],
            span_days / (user["occasions"] - 1),
            _value_mean(user),
        ]


def _value_mean(of: dict[str, Values]) -> Values:
    """NaN where no interaction has a value."""
    with np.errstate(invalid="ignore"):
        return of["value_sum"] / of["value_count"]


def _crosses(
    user: UserState,
    items: ItemState,
    candidates: Positions,
    item: dict[str, Floats],
    user_values: dict[str, np.float64],
) -> list[Floats]:
    """The columns of CROSSES but for the co-occurrence."""
    place = _places(user.history, candidates, len(items))
    was_chosen = place >= 0

    def of_history(values: Floats, missing: float = np.nan) -> Floats:
        if len(values) == 0:
            return np.full(len(candidates), missing)
        return np.where(was_chosen, values[place], missing)

    occasions = of_history(user.occasions, 0.0)
    days_since = (items.now - of_history(user.last_at)) / SECONDS_A_DAY
    spans = of_history((user.last_at - user.first_at) / SECONDS_A_DAY)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.where(occasions > 1, spans / (occasions - 1), np.nan)
        return [
            (item["users_7d"] + 1) / (item["users_28d"] / 4 + 1),
            _value_mean(item) / _value_mean(user_values),
            occasions,
            occasions / user_values["occasions"],
            days_since,
            gap,
            days_since / gap,
            of_history(user.in_last_occasion.astype(np.float64), 0.0),
            np.where(was_chosen, place, np.nan),
        ]


def _places(history: Positions, candidates: Positions, n_items: int) -> Positions:
    """Where each candidate stands in the history: int64 (n_candidates,), -1 for one that is not in it."""
    place = np.full(n_items, -1, dtype=np.int64)
    place[history] = np.arange(len(history))
    return place[candidates]


def _cooccurrence(user: UserState, items: ItemState) -> list[Floats]:
    """Strength between every item and the history: sum, maximum, and sum over the latest occasion; (n_items,) each."""
    if len(user.history) == 0:
        return [np.zeros(len(items)) for _ in range(3)]
    rows = items.neighbours[user.history]
    last = items.neighbours[user.history[user.in_last_occasion]]
    dense = (rows.sum(axis=0), rows.max(axis=0).toarray(), last.sum(axis=0))
    return [np.asarray(values, dtype=np.float64).ravel() for values in dense]
