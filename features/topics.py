"""What is known of an item through the items whose texts are like its own: most of all when few chose it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from recsys.state import SECONDS_A_DAY, Floats, ItemState, Positions, UserState
from recsys.text_neighbours import TextNeighbours

TOPIC_FEATURES: Final = (
    "topic_users_28d",  # distinct users of the like items in the last 28 days, mean
    "topic_trend",  # of the last week against the last four, 1 = steady
    "users_against_topic",  # the item's own users against those of the like items, logarithm of the ratio
    "topic_cooccurrence",  # strength between the like items and the history
    "topic_times_chosen",  # occasions on which the user chose the like items, mean
    "topic_share_of_choices",  # the same, of all that the user chose
    "topic_chosen_28d",  # share of the like items that the user chose in the last 28 days
    "topic_recency",  # of the like items, mean: 1 = chosen now, 1/e = a month ago, 0 = never
    "topic_last_occasion",  # share of the like items that the user chose on the latest occasion
    "topic_successors",  # what the history says of the like items' being chosen next, mean
)
WITHOUT_USER: Final = 3
"""The first of them are the same for every user."""
PRIOR_USERS: Final = 0.1
RECENT_DAYS: Final = 28
A_MONTH_DAYS: Final = 30


@dataclass(frozen=True)
class Topics:
    """The like items of each item, and what is known of them at a moment: columns float64 (n_items, WITHOUT_USER)."""

    neighbours: TextNeighbours
    columns: Floats

    @classmethod
    def of(cls, neighbours: TextNeighbours, items: ItemState) -> "Topics":
        return cls(neighbours, topic_columns(neighbours, users_of(items)))

    def features(
        self, user: UserState, now: float, cooccurrence: Floats, successors: Floats, candidates: Positions
    ) -> list[Floats]:
        """TOPIC_FEATURES of the candidates.

        now           seconds since the epoch
        cooccurrence  of every item with the history, float64 (n_items,)
        successors    what the history says of every item's being chosen next, likewise
        """
        age_days = (now - user.last_at) / SECONDS_A_DAY
        known = np.zeros((len(cooccurrence), len(TOPIC_FEATURES) - WITHOUT_USER))
        known[:, 0], known[:, -1] = cooccurrence, successors
        known[user.history, 1:-1] = np.stack(
            [
                user.occasions,
                user.occasions / user.occasions.sum(),
                age_days < RECENT_DAYS,
                np.exp(-age_days / A_MONTH_DAYS),
                user.in_last_occasion,
            ],
            axis=1,
        )
        of_user = self.neighbours.smoothed(known, candidates)
        return [*self.columns[candidates].T, *of_user.T]


def users_of(items: ItemState) -> Floats:
    """Distinct users of every item in the last four weeks and in the last one: float64 (n_items, 2)."""
    return np.column_stack([items.popularity, np.nan_to_num(items.column("users_7d"))])


def topic_columns(neighbours: TextNeighbours, users: Floats, rows: Positions | None = None) -> Floats:
    """The TOPIC_FEATURES without a user, of every item or of some: float64 (n, WITHOUT_USER).

    users  of every item, as users_of gives them
    """
    own = users[:, 0] if rows is None else users[rows, 0]
    month, week = neighbours.smoothed(users, rows).T
    trend = (week + PRIOR_USERS) / (month / 4 + PRIOR_USERS)
    return np.stack([month, trend, np.log1p(own) - np.log1p(month)], axis=1)
