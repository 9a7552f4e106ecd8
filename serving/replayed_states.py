"""The snapshots that requests were answered from, computed anew by the offline path, one state after the other.

What is costly, the neighbours of items, is computed once for all states that have the same snapshot and differ only in
what came after it.
"""

from datetime import datetime, timedelta
from functools import partial

import polars as pl

from features.store import BehaviourStore
from features.weights import weigh
from recsys.catalogue import Catalogue
from recsys.config import InteractionType
from recsys.schema import TIMESTAMP
from serving.tables_then import TablesThen


class ReplayedStates:
    """In a store of its own, which has nothing but the latest states."""

    def __init__(self, store: BehaviourStore) -> None:
        self.store = store
        self._past: tuple[str, datetime, pl.DataFrame, pl.DataFrame] | None = None
        self._nows = set[datetime]()

    def compute(
        self,
        bundle_id: str,
        catalogue: Catalogue,
        as_of: datetime,
        then: TablesThen,
        types: dict[str, InteractionType],
        users: pl.DataFrame | None,
    ) -> datetime:
        """Have the snapshot of `as_of`, and that of the moment up to which a server followed the log: which is that.

        catalogue  of the bundle
        """
        now = as_of
        if len(then.recent):
            latest = then.recent[TIMESTAMP].max()
            assert isinstance(latest, datetime)
            now = max(now, latest + timedelta(microseconds=1))
        shown_before = then.impressions.filter(pl.col(TIMESTAMP) < as_of)
        if now in self._nows or not self._has((bundle_id, as_of, then.known, shown_before)):
            self.store.forget_snapshots()
            self._past, self._nows = (bundle_id, as_of, then.known, shown_before), set()
        snapshot = partial(self.store.snapshot, impressions=then.impressions, users=users)
        snapshot(then.known, catalogue, [as_of])
        if now > as_of:
            everything = pl.concat([then.known, weigh(then.recent, types)], how="diagonal")
            is_late = bool((then.recent[TIMESTAMP] < as_of).any())
            snapshot(everything, catalogue, [now], windows_from=as_of, same_neighbours=not is_late)
            self._nows.add(now)
        return now

    def _has(self, past: tuple[str, datetime, pl.DataFrame, pl.DataFrame]) -> bool:
        if self._past is None or self._past[:2] != past[:2]:
            return False
        return all(one.equals(other) for one, other in zip(self._past[2:], past[2:], strict=True))
