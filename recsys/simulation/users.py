"""The users of a simulated shop: their tastes on the first day and on the last, and how often each comes."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from recsys.schema import USER_ID
from recsys.simulation.items import SYNTHETIC, drawn
from recsys.simulation.settings import Settings
from recsys.simulation.words import TOPICS
from recsys.state import Floats, Positions

TASTE: Final = 0.2
"""Concentration of the tastes: with less, users care for fewer topics."""

THRIFT_SPREAD: Final = 0.4
ACTIVITY_SPREAD: Final = 1.0
"""Of the logarithm: one user in six comes more than 2.7 times as often as the median."""

STATED_INTEREST: Final = "stated_interest"


@dataclass(frozen=True)
class Users:
    """The users by id, and what is true of each.

    table        user_id, stated_interest (a category, which the user likes best or states by mistake), synthetic
    first, last  float64 (n_users, n_topics), the taste on the first day and on the last; rows sum to 1
    thrift       float64 (n_users,), how many log odds a price of one standard deviation above its kind's costs
    activity     float64 (n_users,), share of the lists that are shown to the user; sums to 1
    """

    table: pl.DataFrame
    first: Floats
    last: Floats
    thrift: Floats
    activity: Floats

    @classmethod
    def made(cls, settings: Settings, random: np.random.Generator) -> "Users":
        count, n_topics = settings.users, len(TOPICS)
        first, other = random.dirichlet(np.full(n_topics, TASTE), (2, count))
        activity = np.exp(random.normal(0, ACTIVITY_SPREAD, count))
        interest = drawn(first, random)
        table = pl.DataFrame(
            {
                USER_ID: [f"user-{at:07}" for at in range(count)],
                STATED_INTEREST: np.array(list(TOPICS), dtype=object)[interest].tolist(),
                SYNTHETIC: np.ones(count, dtype=bool),
            }
        )
        last = (1 - settings.drift) * first + settings.drift * other
        return cls(table, first, last, random.normal(THRIFT_SPREAD, THRIFT_SPREAD, count), activity / activity.sum())

    def tastes(self, users: Positions, at: Floats | float) -> Floats:
        """Of some users at shares of the log, 0 = first day, 1 = last: float64 (n, n_topics)."""
        share = np.asarray(at, dtype=np.float64)[..., None]
        found: Floats = (1 - share) * self.first[users] + share * self.last[users]
        return found
