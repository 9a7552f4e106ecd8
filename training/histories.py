"""The logs as arrays, so that what a user had chosen before any moment is found in microseconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.catalogue import Catalogue
from recsys.config import InteractionType
from recsys.schema import EVENT_TYPE, ITEM_ID, QUERY, TIMESTAMP, USER_ID
from recsys.state import SECONDS_A_DAY, Floats, Mask, Positions

ROWS_LOOKED_AT = 2000
"""Latest interactions of a user that a history is made from; bounds what a robot costs."""


@dataclass(frozen=True)
class Past:
    """The distinct items that a user had chosen before a moment, the latest first; all arrays (h,)."""

    items: Positions
    age_days: Floats
    occasions: Floats
    kind: Positions

    @classmethod
    def empty(cls) -> "Past":
        nothing = np.zeros(0)
        return cls(nothing.astype(np.int64), nothing, nothing, nothing.astype(np.int64))

    def only(self, keep: Mask) -> "Past":
        """The items marked in bool (h,)."""
        return Past(self.items[keep], self.age_days[keep], self.occasions[keep], self.kind[keep])

    def latest(self, length: int) -> "Past":
        """At most `length` items."""
        return Past(self.items[:length], self.age_days[:length], self.occasions[:length], self.kind[:length])


@dataclass(frozen=True)
class Log:
    """Interactions sorted by user and time; the rows of user u are starts[u] … starts[u + 1].

    item   int64, position in the catalogue
    time   float64, seconds since the epoch
    kind   int64, place of the interaction type in `types`
    query  the text that was typed, or None
    """

    starts: Positions
    item: Positions
    time: Floats
    kind: Positions
    query: list[str | None]
    users: dict[str, int]
    types: tuple[str, ...]
    weights: Floats
    seen_until: datetime

    @classmethod
    def of(
        cls,
        interactions: pl.DataFrame,
        catalogue: Catalogue,
        types: Mapping[str, InteractionType],
        *,
        without: Mask | None = None,
    ) -> "Log | None":
        """From interactions with items of the catalogue but for those in bool (n_items,); None if none is left."""
        position = pl.col(ITEM_ID).replace_strict(catalogue.index, default=None, return_dtype=pl.Int64)
        rows = interactions.with_columns(position=position).drop_nulls("position")
        if without is not None:
            rows = rows.filter(~pl.Series(without)[rows["position"].to_numpy()])
        if len(rows) == 0:
            return None
        rows = rows.sort(USER_ID, TIMESTAMP, maintain_order=True)
        users = rows[USER_ID].unique(maintain_order=True).to_list()
        kinds = {name: kind for kind, name in enumerate(sorted(types))}
        latest = rows[TIMESTAMP].max()
        assert isinstance(latest, datetime)
        return cls(
            starts=np.append(np.flatnonzero(rows[USER_ID].is_first_distinct().to_numpy()), len(rows)),
            item=rows["position"].to_numpy(),
            time=rows[TIMESTAMP].dt.epoch("us").to_numpy() / 1e6,
            kind=rows[EVENT_TYPE].replace_strict(kinds, return_dtype=pl.Int64).to_numpy(),
            query=rows[QUERY].to_list() if QUERY in rows.columns else [None] * len(rows),
            users={user: at for at, user in enumerate(users)},
            types=tuple(kinds),
            weights=np.array([types[name].weight for name in kinds]),
            seen_until=latest,
        )

    @cached_property
    def occasion_starts(self) -> Positions:
        """The first row of every occasion: of the interactions of one user at one moment."""
        is_first = np.append(True, np.diff(self.time) != 0)
        is_first[self.starts[:-1]] = True
        return np.flatnonzero(is_first)

    def past(self, user: int, before: float, length: int) -> Past:
        """What a user had chosen strictly before a time: at most `length` items."""
        start, stop = self.starts[user], self.starts[user + 1]
        stop = start + int(np.searchsorted(self.time[start:stop], before))
        rows = np.arange(max(start, stop - ROWS_LOOKED_AT), stop)[::-1]
        item, time, kind = self.item[rows], self.time[rows], self.kind[rows]
        distinct, first, which = np.unique(item, return_index=True, return_inverse=True)
        order = np.argsort(first)
        pairs = np.unique(np.stack([which.astype(np.float64), time]), axis=1)[0].astype(np.int64)
        occasions = np.bincount(pairs, minlength=len(distinct)).astype(np.float64)
        # Of several types with an item the one of the highest weight counts; of equal ones the first by name.
        strongest = np.zeros(len(distinct), dtype=np.int64)
        by_weight = np.lexsort((-kind, self.weights[kind]))
        strongest[which[by_weight]] = kind[by_weight]
        order = order[:length]
        return Past(distinct[order], (before - time[first[order]]) / SECONDS_A_DAY, occasions[order], strongest[order])


@dataclass(frozen=True)
class PaddedPasts:
    """Several pasts as arrays (n, longest), at least one wide; `items` is 0 where nothing is present."""

    items: Tensor
    age_days: Tensor
    occasions: Tensor
    kind: Tensor
    present: Tensor

    @classmethod
    def of(cls, pasts: Sequence[Past]) -> "PaddedPasts":
        width = max(1, max((len(past.items) for past in pasts), default=1))

        def padded(name: str, dtype: type) -> Tensor:
            values: NDArray[np.generic] = np.zeros((len(pasts), width), dtype=dtype)
            for row, past in enumerate(pasts):
                values[row, : len(past.items)] = getattr(past, name)
            return torch.from_numpy(values)

        present = torch.zeros(len(pasts), width)
        for row, past in enumerate(pasts):
            present[row, : len(past.items)] = 1
        floats = {name: padded(name, np.float32) for name in ("age_days", "occasions")}
        return cls(
            padded("items", np.int64), floats["age_days"], floats["occasions"], padded("kind", np.int64), present
        )

    def to(self, device: torch.device) -> "PaddedPasts":
        return PaddedPasts(*(getattr(self, one.name).to(device) for one in fields(self)))
