"""Show lists to users and watch them click and buy, part after part in the order of time."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from recsys.simulation.items import Items
from recsys.simulation.settings import Settings
from recsys.simulation.shop import Shop
from recsys.simulation.tables import impressions_table, interactions_table
from recsys.simulation.truth import PURCHASE_RATE, Truth
from recsys.simulation.users import Users
from recsys.state import Floats, Mask, Positions

LISTS_A_PART: Final = 50_000
"""Bounds the memory, however long the log is."""

BY_HOUR: Final = np.array([2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 9, 9, 10, 9, 8, 8, 8, 9, 11, 13, 14, 12, 8, 4], dtype=float)
"""How busy each hour of a day is."""


@dataclass(frozen=True)
class Part:
    """Lists as they were shown, with what was clicked and bought, and the same as tables of recsys.schema.

    first         number of the first list in the whole log
    shown_to      int64 (n,), positions in the users table
    at            float64 (n,), when, as a share of the log; in the order of time
    shown         int64 (n, list_length), positions in the items table
    propensities  float64 (n, list_length), probability of each item's place, as Shop.ordered knows it
    clicked, bought  bool (n, list_length)
    """

    truth: Truth
    first: int
    shown_to: Positions
    at: Floats
    shown: Positions
    propensities: Floats
    clicked: Mask
    bought: Mask

    @cached_property
    def attractiveness(self) -> Floats:
        """Of what was shown, to whom it was shown: float64 (n, list_length)."""
        return self.truth.attractiveness_of(self.shown_to, self.shown, self.at)

    @cached_property
    def impressions(self) -> pl.DataFrame:
        """request_id, user_id, timestamp, items, propensities, surface, bundle, synthetic."""
        return impressions_table(self.truth, self.first, self.shown_to, self.at, self.shown, self.propensities)

    @cached_property
    def interactions(self) -> pl.DataFrame:
        """event_id, request_id, user_id, item_id, event_type, timestamp, value (what was paid), synthetic."""
        return interactions_table(self.impressions, self.truth, self.shown, self.clicked, self.bought)


@dataclass(frozen=True)
class Simulated(Part):
    """A whole log, and the shop that made it."""

    shop: Shop

    @property
    def items(self) -> pl.DataFrame:
        """item_id, title, category, price, published_at, synthetic; sorted by id."""
        return self.truth.items.table

    @property
    def users(self) -> pl.DataFrame:
        """user_id, stated_interest, synthetic; sorted by id."""
        return self.truth.users.table


class Simulator:
    """A shop that has opened; its parts are made one by one."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigError when the settings are not allowed."""
        self.settings = settings.checked()
        # Each has a generator of its own: more users leave the items as they are.
        items, users, shop, when = (np.random.default_rng((settings.seed, part)) for part in range(4))
        self.truth = Truth(settings, Items.made(settings, items), Users.made(settings, users))
        self.shop = Shop.opened(self.truth, shop)
        self._at = moments(settings, when)

    def parts(self) -> Iterator[Part]:
        """All lists, in the order of time, LISTS_A_PART at a time; the same each time."""
        for first in range(0, self.settings.impressions, LISTS_A_PART):
            yield self._part(first, np.random.default_rng((self.settings.seed, 4, first)))

    def _part(self, first: int, random: np.random.Generator) -> Part:
        at = self._at[first : first + LISTS_A_PART]
        often = np.cumsum(self.truth.users.activity)
        users = np.minimum(np.searchsorted(often, random.random(len(at))), len(often) - 1)
        shown, propensities = self.shop.ordered(self.shop.candidates(users, at, random), random)
        attractiveness = self.truth.attractiveness_of(users, shown, at)
        clicked = self.truth.clicks(attractiveness, random)
        bought = clicked & (random.random(shown.shape) < PURCHASE_RATE * attractiveness)
        return Part(self.truth, first, users, at, shown, propensities, clicked, bought)


def simulate(settings: Settings) -> Simulated:
    """A whole log in memory. Raises ConfigError when the settings are not allowed."""
    simulator = Simulator(settings)
    parts = list(simulator.parts())
    return Simulated(
        truth=simulator.truth,
        first=0,
        shown_to=np.concatenate([part.shown_to for part in parts]),
        at=np.concatenate([part.at for part in parts]),
        shown=np.concatenate([part.shown for part in parts]),
        propensities=np.concatenate([part.propensities for part in parts]),
        clicked=np.concatenate([part.clicked for part in parts]),
        bought=np.concatenate([part.bought for part in parts]),
        shop=simulator.shop,
    )


def moments(settings: Settings, random: np.random.Generator) -> Floats:
    """When each list is shown, as a share of the log, in the order of time: float64 (impressions,)."""
    day = random.integers(settings.days, size=settings.impressions)
    hour = random.choice(len(BY_HOUR), settings.impressions, p=BY_HOUR / BY_HOUR.sum())
    within = (hour + random.random(settings.impressions)) / len(BY_HOUR)
    found: Floats = np.sort((day + within) / settings.days)
    return found
