"""How large a simulation is, how its lists are shown and how its users click."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from recsys.errors import ConfigError

FIRST_DAY: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""When every simulated log begins."""

ITEMS_A_PLACE: Final = 3
"""At least so many items for each place of a list: with fewer there would be little to choose from."""

Count = Annotated[int, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
AtLeastZero = Annotated[float, Meta(ge=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same settings give the same logs, row for row."""

    users: Count = 2_000
    items: Count = 1_000
    impressions: Count = 50_000
    """Lists that are shown."""
    days: Count = 120
    """From FIRST_DAY on."""
    list_length: Count = 10
    """Items of every list."""
    exploration: Share = 0.3
    """Share of the lists in a random order; the others are ordered by what the shop takes for popular."""
    click_model: Literal["position", "cascade"] = "position"
    """position: every position is examined with a probability of its own; cascade: from the top to the first click."""
    position_decay: AtLeastZero = 1.0
    """With click_model position: position k, from 1, is examined with probability 1 / k ** position_decay."""
    popularity_error: AtLeastZero = 1.0
    """By how much the shop is wrong about each item, for good: a standard deviation on the scale of log odds."""
    drift: Share = 0.5
    """How far tastes move from the first day to the last: 0 not at all, 1 to others altogether."""
    seed: Annotated[int, Meta(ge=0)] = 0

    def checked(self) -> "Settings":
        """Itself. Raises ConfigError when a value is not allowed or two contradict each other."""
        try:
            msgspec.convert(msgspec.to_builtins(self), Settings)
        except msgspec.ValidationError as error:
            raise ConfigError(f"simulation: {error}; correct that setting") from error
        if self.items < ITEMS_A_PLACE * self.list_length:
            raise ConfigError(
                f"simulation: {self.items} items for lists of {self.list_length}, expected {ITEMS_A_PLACE} items or "
                "more for each place; raise items or lower list_length"
            )
        return self
