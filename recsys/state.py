"""What is known of the items and of one user at a moment, as arrays; items are positions in the catalogue.

Retrieval channels and the feature assembler read these. features.store fills them: from the offline store for training,
from the online store for serving.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.exposure import Exposure

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]
Names = NDArray[np.str_]


SECONDS_A_DAY: Final = 86_400.0

POPULARITY: Final = "users_28d"


class Neighbours(NamedTuple):
    """How strongly items go with others, each float32 (n_items, n_items) sparse: of a row's item, the columns'.

    users       the same users chose them: at least 0
    regression  what having chosen the one says of the other, beside all else that a user chose: of either sign
    successors  what it says of the other's being chosen next, the item itself among them: of either sign
    """

    users: sp.csr_array
    regression: sp.csr_array
    successors: sp.csr_array


class PopularityBy(NamedTuple):
    """How many users of each value of one of their attributes chose each item lately, value after value.

    place  of the attribute in UserState.attributes; the values are its numbers there
    ends   int64 (n_values + 1,): the rows of value v are those from ends[v] up to ends[v + 1]
    items  int64 (n,), positions; users  float64 (n,), above 0
    """

    place: int
    ends: Positions
    items: Positions
    users: Floats

    @classmethod
    def of(cls, place: int, values: Positions, items: Positions, users: Floats, n_values: int) -> "PopularityBy":
        """From rows in any order, each the value, int64 (n,), of one item."""
        order = np.argsort(values, kind="stable")
        ends = np.searchsorted(values[order], np.arange(n_values + 1))
        return cls(place, ends, items[order], users[order])

    def of_value(self, value: int) -> tuple[Positions, Floats]:
        """The items that users of a value chose, and by how many each."""
        rows = slice(self.ends[value], self.ends[value + 1])
        return self.items[rows], self.users[rows]


@dataclass(frozen=True)
class ItemState:
    """All items of the catalogue at a moment.

    now            seconds since the epoch
    columns        names of the behaviour features
    behaviour      float64 (n_items, len(columns)), NaN where nothing is known
    neighbours     of each item the others that go with it
    categories     int64 (n_items,), which category each is of, -1 for none; None when that is not known of any
    attributes     float64 (n_items, n_attributes), as recsys.attributes makes them of the items table, or None
    exposure       how often each was shown; None when that is not known of any
    popularity_by  by the categorical attributes of users, each by its name
    """

    now: float
    columns: tuple[str, ...]
    behaviour: Floats
    neighbours: Neighbours
    categories: Positions | None = None
    attributes: Floats | None = None
    exposure: Exposure | None = None
    popularity_by: Mapping[str, PopularityBy] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.behaviour)

    def column(self, name: str) -> Floats:
        """One behaviour feature of every item: float64 (n_items,)."""
        return self.behaviour[:, self.columns.index(name)]

    @cached_property
    def popularity(self) -> Floats:
        """Distinct users of every item in the last four weeks: float64 (n_items,), 0 where none is known."""
        return np.nan_to_num(self.column(POPULARITY))

    def after(self, now: float, changed: Positions) -> "ItemState":
        """The same items at a later moment, when the behaviour of these was written in place; shares all arrays."""
        found = replace(self, now=now)
        self.popularity[changed] = np.nan_to_num(self.column(POPULARITY)[changed])
        found.__dict__["popularity"] = self.popularity
        return found


@dataclass(frozen=True)
class Recent:
    """The last interactions of a user, the latest first.

    items  int64 (r,), -1 for one that is not in the catalogue
    types  str (r,), the interaction types
    at     float64 (r,), seconds since the epoch
    """

    items: Positions
    types: Names
    at: Floats

    def without(self, items: Mask) -> "Recent":
        """Without the interactions with the items marked in bool (n_items,)."""
        keep = (self.items < 0) | ~items[self.items]
        return Recent(self.items[keep], self.types[keep], self.at[keep])


@dataclass(frozen=True)
class Affinity:
    """How much a user cares for categories.

    categories  int64 (c,), -1 for one that the catalogue does not have
    weights     float64 (c,), of which the proportions matter
    """

    categories: Positions
    weights: Floats


NO_AFFINITY: Final = Affinity(np.empty(0, np.int64), np.empty(0))
NOTHING_RECENT: Final = Recent(np.empty(0, np.int64), np.empty(0, np.str_), np.empty(0))


@dataclass(frozen=True)
class UserState:
    """One user at a moment; of one never seen every value is NaN and the history is empty.

    behaviour  float64 (n_features,)
    history    int64 (h,), the distinct items, the latest first; beside each:
    occasions  float64 (h,), distinct moments at which the user chose it
    first_at   float64 (h,), last_at float64 (h,), seconds since the epoch
    types      str (h,), the interaction type of the highest weight that the user had with it
    spent      float64 (h,), sum of the values of the interactions with it
    recent     the last interactions, one by one
    affinity   to categories
    attributes float64 (n_attributes,), as recsys.attributes makes them of the users table, or None
    """

    behaviour: Floats
    history: Positions
    occasions: Floats
    first_at: Floats
    last_at: Floats
    types: Names
    spent: Floats
    recent: Recent = NOTHING_RECENT
    affinity: Affinity = NO_AFFINITY
    attributes: Floats | None = None

    @property
    def in_last_occasion(self) -> Mask:
        """Which items of the history were chosen on the user's latest occasion: bool (h,)."""
        mask: Mask = self.last_at >= self.last_at.max(initial=-np.inf)
        return mask

    def without(self, items: Mask) -> "UserState":
        """The same user with a history that never held the items marked in bool (n_items,)."""
        keep = ~items[self.history]
        return UserState(
            self.behaviour,
            self.history[keep],
            self.occasions[keep],
            self.first_at[keep],
            self.last_at[keep],
            self.types[keep],
            self.spent[keep],
            self.recent.without(items),
            self.affinity,
            self.attributes,
        )
