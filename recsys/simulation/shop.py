"""What the simulated shop does: it finds items for a user, and orders them with known probabilities.

A list holds items that the shop takes for interesting to the user and others that it takes for popular. With
probability 1 − exploration it is ordered by what the shop takes for popular, about which it is wrong; else at random.
The propensity of a place, the probability that its item stands there given the items of the list and what was taken
for popular at that moment, is therefore known exactly.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from recsys.simulation.items import drawn
from recsys.simulation.truth import SHARPNESS, Truth
from recsys.state import Floats, Mask, Positions

PERSONAL_SHARE: Final = 0.5
"""Of a list: what is found by the user's taste; the rest is found by popularity."""

PREFERENCE: Final = 0.5
"""Of the popular when items are found; with 1, hardly any other would be shown."""

MOOD: Final = 0.5
"""Standard deviation, in log odds, of what is taken for popular from one list to the next."""


@dataclass(frozen=True)
class Shop:
    """What the shop knows: the tastes of users well enough to find items for them, the popularity of items badly.

    popularity  float64 (n_items,), what each item is taken for, in log odds
    of_topic    int64 (n_items,), the items sorted by their topic
    limits      float64 (n_items,), beside of_topic: topic + cumulative share of the topic's popularity
    """

    truth: Truth
    popularity: Floats
    of_topic: Positions
    limits: Floats

    @classmethod
    def opened(cls, truth: Truth, random: np.random.Generator) -> "Shop":
        liking = truth.users.activity @ truth.users.first @ truth.items.topics.T
        error = random.normal(0, truth.settings.popularity_error, len(liking))
        popularity = SHARPNESS * liking + truth.items.quality + error
        topics = truth.items.topics.argmax(axis=1)
        order = np.argsort(topics, kind="stable")
        limits = np.empty(len(order))
        for topic in np.unique(topics):
            own = topics[order] == topic
            limits[own] = topic + shares(PREFERENCE * popularity[order][own])
        return cls(truth, popularity, order, limits)

    def candidates(self, users: Positions, at: Floats, random: np.random.Generator) -> Positions:
        """Different items for each user, all of them published: int64 (n, list_length), in no order that matters."""
        found = np.empty((len(users), self.truth.settings.list_length), dtype=np.int64)
        personal = random.random(found.shape) < PERSONAL_SHARE
        rows = np.nonzero(personal)[0]
        found[personal] = self._by_taste(users[rows], at[rows], random)
        # Whose topics have too few items gets others by popularity.
        unfit = ~personal
        while unfit.any():
            found[unfit] = self._by_popularity(int(unfit.sum()), random)
            unfit = repeated(found) | (self.truth.items.published[found] > at[:, None])
        return found

    def ordered(self, candidates: Positions, random: np.random.Generator) -> tuple[Positions, Floats]:
        """The lists as shown, and the propensity of each place: int64 and float64 (n, list_length)."""
        length, exploration = candidates.shape[1], self.truth.settings.exploration
        taken_for = self.popularity[candidates] + random.normal(0, MOOD, candidates.shape)
        usual = np.argsort(-taken_for, axis=1)
        at_random = np.argsort(random.random(candidates.shape), axis=1)
        explores = random.random(len(candidates)) < exploration
        order = np.where(explores[:, None], at_random, usual)
        propensities = exploration / length + (1 - exploration) * (order == usual)
        return np.take_along_axis(candidates, order, axis=1), propensities

    def _by_taste(self, users: Positions, at: Floats, random: np.random.Generator) -> Positions:
        """One item for each user: a topic by taste, then an item of it by what is taken for popular."""
        place = drawn(self.truth.users.tastes(users, at), random) + random.random(len(users))
        found: Positions = self.of_topic[np.minimum(np.searchsorted(self.limits, place), len(self.limits) - 1)]
        return found

    def _by_popularity(self, count: int, random: np.random.Generator) -> Positions:
        found: Positions = np.searchsorted(shares(PREFERENCE * self.popularity), random.random(count))
        return found


def shares(log_weights: Floats) -> Floats:
    """Cumulative shares of weights, up to 1: float64 of the same length."""
    weights = np.exp(log_weights - log_weights.max())
    found: Floats = np.cumsum(weights) / weights.sum()
    found[-1] = 1.0
    return found


def repeated(lists: Positions) -> Mask:
    """Which items stand before in the same list: bool, the shape of `lists`."""
    order = np.argsort(lists, axis=1, kind="stable")
    ordered = np.take_along_axis(lists, order, axis=1)
    again = np.zeros(lists.shape, dtype=np.bool_)
    np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return again
