"""What a champion ranked from, or would have: features of candidates and its scores, before and now."""

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.config import Drift
from recsys.drift import Figure, Kind
from recsys.state import Floats, Positions
from training.drift.stability import Values, binned, moved, stability_index


@dataclass(frozen=True)
class Served:
    """Candidates of some lists; arrays (n,), but for the matrix.

    matrix  float32 (n, n_features)
    scores  float64
    lists   int64, which list each is of
    items   int64, which item each is
    parts   int64, 0 or 1: which of two times
    keys    of logged ones REQUEST_ID and ITEM_ID of each row
    """

    matrix: NDArray[np.float32]
    scores: Floats
    lists: Positions
    items: Positions
    parts: Positions
    keys: pl.DataFrame | None = None

    @property
    def count(self) -> int:
        """How many lists there are."""
        return len(np.unique(self.lists))

    @property
    def independent(self) -> float:
        """Rows of one list are alike, and so are those of one item: the lists or the items, whichever are fewer."""
        return float(min(self.count, len(np.unique(self.items))))


@dataclass(frozen=True)
class BothServed:
    """Before and now.

    names  of the features
    ages   those that grow by a day every day
    minor  those that the ranker hardly goes by: that they move is never an alert
    """

    way: Literal["logged", "computed"]
    names: tuple[str, ...]
    before: Served
    now: Served
    ages: frozenset[str] = frozenset()
    minor: frozenset[str] = frozenset()

    def figures(self, settings: Drift) -> list[Figure]:
        """One for each feature, and one for the scores.

        What moves from one time of the reference to the other as well, as a trend does, is no news; and that a week is
        over, as ages say, is none at all.
        """
        found = [
            self._figure(settings, "features", name, self.before.matrix[:, at], self.now.matrix[:, at])
            for at, name in enumerate(self.names)
            if name not in self.ages
        ]
        return [*found, self._figure(settings, "scores", "scores", self.before.scores, self.now.scores)]

    def _figure(self, settings: Drift, kind: Kind, name: str, before: Values, now: Values) -> Figure:
        independent = self.before.independent, self.now.independent
        usual = stability_index(*binned(*(before[self.before.parts == part] for part in (0, 1))))
        found = moved(settings, kind, name, before, now, independent=independent, usual=usual)
        is_minor = name in self.minor and found.level == "alert"
        return msgspec.structs.replace(found, level="note") if is_minor else found
