"""What every family of features is, and the request that it is computed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, Protocol

import numpy as np

from features.fields import WINDOWS_DAYS, count_of, windowed
from recsys.attributes import AttributeKind
from recsys.retrieval.from_history import FromHistory
from recsys.state import Floats, ItemState, Positions, UserState

EVER: Final = "ever"
NOW: Final = "at the request"
INTERACTIONS: Final = "interactions"


class Feature(NamedTuple):
    """A column of the ranker's matrix; what is not known is NaN there.

    window  what time it looks back on
    source  where it comes from
    """

    name: str
    meaning: str
    unit: str
    window: str
    source: str


class Project(NamedTuple):
    """What the features of a project follow from.

    types            the interaction types, by name
    item_attributes  columns of the items table, each with its kind, by name
    user_attributes  the same of the users table
    """

    types: tuple[str, ...]
    item_attributes: tuple[tuple[str, AttributeKind], ...] = ()
    user_attributes: tuple[tuple[str, AttributeKind], ...] = ()


@dataclass(frozen=True)
class Request:
    """A user, and the candidates among the items of a moment.

    user_columns  the names of user.behaviour
    candidates    int64 (n_candidates,)
    from_history  of the same user and the same items
    """

    project: Project
    user: UserState
    user_columns: tuple[str, ...]
    items: ItemState
    candidates: Positions
    from_history: FromHistory

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self.items.now

    @cached_property
    def of_items(self) -> Floats:
        """What the store knows of the candidates: float64 (n_candidates, len(items.columns))."""
        return self.items.behaviour[self.candidates]

    def of_item(self, name: str) -> Floats:
        """One field of the candidates: float64 (n_candidates,)."""
        return self.of_items[:, self.items.columns.index(name)]

    def of_user(self, name: str) -> np.float64:
        """One field of the user."""
        value: np.float64 = self.user.behaviour[self.user_columns.index(name)]
        return value

    @cached_property
    def cooccurrence(self) -> tuple[Floats, Floats, Floats]:
        """Strength between every item and the history: sum, maximum, sum over the latest occasion; (n_items,) each."""
        history = self.user.history
        if len(history) == 0:
            nothing = np.zeros(len(self.items))
            return nothing, nothing, nothing
        rows, size = self.from_history.neighbours, len(self.items)
        strongest = np.zeros(size)
        # Of one type: NumPy takes many times as long where it has to convert.
        np.maximum.at(strongest, rows.columns, rows.values.astype(np.float64))
        latest = rows.sums(size, self.user.in_last_occasion.astype(np.float64))
        return self.from_history.cooccurrence, strongest, latest

    @cached_property
    def place(self) -> Positions:
        """Where each candidate stands in the history: int64 (n_candidates,), -1 for one that is not in it."""
        place = np.full(len(self.items), -1, dtype=np.int64)
        place[self.user.history] = np.arange(len(self.user.history))
        return place[self.candidates]

    def of_history(self, values: Floats, missing: float = np.nan) -> Floats:
        """What stands beside each candidate in the history: of (h,) float64 (n_candidates,)."""
        if len(values) == 0:
            return np.full(len(self.candidates), missing)
        return np.where(self.place >= 0, values[self.place], missing)


class Family(Protocol):
    """Features that are computed together."""

    def features(self, project: Project, /) -> tuple[Feature, ...]:
        """Of a project."""
        ...

    def values(self, request: Request, /) -> Floats:
        """In the same order: float64 (n_candidates, n_features), or (n_features,) of what all candidates share.

        Runs where numpy does not warn of divisions by nought: what they give is not known, or without bound.
        """
        ...


def in_windows(stem: str, meaning: str, unit: str) -> tuple[Feature, ...]:
    """A count over each of the windows, and ever."""
    return tuple(
        Feature(
            windowed(stem, days), meaning, unit, EVER if days is None else f"{days} day{'s' * (days > 1)}", INTERACTIONS
        )
        for days in (*WINDOWS_DAYS, None)
    )


def of_types(prefix: str, types: Sequence[str]) -> tuple[Feature, ...]:
    """The interactions of each type over each of the windows, and ever."""
    counts = (in_windows(prefix + count_of(name), f"interactions of type {name}", "interactions") for name in types)
    return tuple(feature for of_type in counts for feature in of_type)
