"""What no log tells: how attractive each item is to each user, and where in a list users look.

attractiveness of item i to user u at moment t, a probability:
    1 / (1 + exp(−(AVERAGE + SHARPNESS · taste[u, t] · topics[i] + quality[i] − thrift[u] · price[i])))
P(click)     position: examination[position] · attractiveness;  cascade: attractiveness, up to the first click
P(purchase)  after a click: PURCHASE_RATE · attractiveness

Position-based and cascade model: Craswell et al., "An experimental comparison of click position-bias models", 2008.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.special

from recsys.simulation.items import Items
from recsys.simulation.settings import Settings
from recsys.simulation.users import Users
from recsys.state import Floats, Mask, Positions

AVERAGE: Final = -3.0
SHARPNESS: Final = 5.0
PURCHASE_RATE: Final = 0.5


@dataclass(frozen=True)
class Truth:
    """Items and users with all that is true of them; rows and columns are positions in their tables."""

    settings: Settings
    items: Items
    users: Users

    @property
    def examination(self) -> Floats:
        """Probability that a position is looked at: float64 (list_length,). Of the position-based model only."""
        decay = self.settings.position_decay if self.settings.click_model == "position" else 0.0
        found: Floats = np.arange(1, self.settings.list_length + 1, dtype=np.float64) ** -decay
        return found

    def attractiveness(self, users: Positions | None = None, *, at: float = 1.0) -> Floats:
        """Of every item to the users (None: to all), at a share of the log: float64 (n_users, n_items) in (0, 1)."""
        users = np.arange(len(self.users.table)) if users is None else users
        liking = self.users.tastes(users, at) @ self.items.topics.T
        return self._probability(liking, self.items.quality, self.users.thrift[users, None] * self.items.price)

    def attractiveness_of(self, users: Positions, items: Positions, at: Floats) -> Floats:
        """Of a list of items to each user: float64 (n, list_length).

        users int64 (n,), items int64 (n, list_length), at float64 (n,)
        """
        liking = np.einsum("nt,nlt->nl", self.users.tastes(users, at), self.items.topics[items])
        thrift = self.users.thrift[users, None] * self.items.price[items]
        return self._probability(liking, self.items.quality[items], thrift)

    def click_probabilities(self, attractiveness: Floats) -> Floats:
        """Of lists in the order shown: float64 (n, list_length), from the attractiveness of their items."""
        if self.settings.click_model == "position":
            return self.examination * attractiveness
        passed = np.cumprod(1 - attractiveness, axis=1)
        found: Floats = attractiveness * np.column_stack([np.ones(len(passed)), passed[:, :-1]])
        return found

    def clicks(self, attractiveness: Floats, random: np.random.Generator) -> Mask:
        """What users click in lists of such items: bool (n, list_length)."""
        attracted = random.random(attractiveness.shape) < self.examination * attractiveness
        if self.settings.click_model == "position":
            return attracted
        first: Mask = attracted & (np.cumsum(attracted, axis=1) == 1)
        return first

    def _probability(self, liking: Floats, quality: Floats, thrift: Floats) -> Floats:
        found: Floats = scipy.special.expit(AVERAGE + SHARPNESS * liking + quality - thrift)
        return found
