"""What a peer may know: the interactions before a moment, also as matrices of users by items.

Reads   the files that benchmarks.peers_split writes
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
import scipy.sparse as sp
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Positions = NDArray[np.int64]

SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True)
class Known:
    """All interactions before `now`, in the order of time.

    users, items  int64 (n,); seconds float64 (n,) since the epoch
    """

    users: Positions
    items: Positions
    seconds: Floats
    now: float
    n_users: int
    n_items: int

    @classmethod
    def read(cls, folder: Path) -> "Known":
        """All that a split holds: what was known at its cut."""
        about = json.loads((folder / "split.json").read_text())
        table = pq.read_table(folder / "interactions.parquet")
        users, items, seconds = (table[name].to_numpy() for name in ("user", "item", "seconds"))
        return cls(users, items, seconds, about["cut"], about["n_users"], about["n_items"])

    def before(self, moment: float) -> "Known":
        """What was known at an earlier moment, in seconds since the epoch."""
        return replace(self._where(self.seconds < moment), now=moment)

    def last_days(self, days: float | None) -> "Known":
        """The interactions of so many days before now alone; None: all."""
        return self if days is None else self._where(self.seconds >= self.now - days * SECONDS_A_DAY)

    def matrix(self, of: Literal["one", "log", "count"] = "one", half_life_days: float | None = None) -> sp.csr_matrix:
        """How much a user has to do with an item: float64 (n_users, n_items).

        of              "count": the moments at which the user chose it, "log": log(1 + these), "one": the latest alone
        half_life_days  a moment counts half when it is so old; None: as much as one just now
        """
        pairs = self.users * self.n_items + self.items
        if of == "one":
            _, from_end = np.unique(pairs[::-1], return_index=True)
            kept = len(pairs) - 1 - from_end
        else:
            # A moment counts once, however often the item stands in it.
            moments, moment = np.unique(self.seconds, return_inverse=True)
            _, kept = np.unique(pairs * len(moments) + moment, return_index=True)
        weights = np.ones(len(kept))
        if half_life_days is not None:
            weights = 0.5 ** ((self.now - self.seconds[kept]) / SECONDS_A_DAY / half_life_days)
        found = sp.csr_matrix((weights, (self.users[kept], self.items[kept])), (self.n_users, self.n_items))
        return found.log1p() if of == "log" else found

    def popularity(self, days: float | None) -> Floats:
        """Distinct users of each item in the days before now: float64 (n_items,)."""
        recent = self.last_days(days)
        pairs = np.unique(recent.users * self.n_items + recent.items)
        return np.bincount(pairs % self.n_items, minlength=self.n_items).astype(np.float64)

    def _where(self, kept: NDArray[np.bool_]) -> "Known":
        return replace(self, users=self.users[kept], items=self.items[kept], seconds=self.seconds[kept])
