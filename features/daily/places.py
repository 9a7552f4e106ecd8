"""Where each of many items stands, looked up by some bits of its key; those that share these bits are joined."""

import numpy as np
import polars as pl

from features.daily.keys import ITEM_KEY

MOST_BITS = 24  # a table of 64 MB, in which one of thirty of half a million items has the bits of another
SLOTS_AN_ITEM = 32


class Places:
    """The places of the items in one order of their keys, all different."""

    def __init__(self, keys: pl.Series) -> None:
        self._keys = keys.to_numpy()
        self._bits = min(MOST_BITS, max(1, (SLOTS_AN_ITEM * len(keys)).bit_length()))
        self._table = np.zeros(1 << self._bits, dtype=np.uint32)
        self._table[self._slots(self._keys)] = np.arange(len(keys), dtype=np.uint32)
        self._all = pl.DataFrame({ITEM_KEY: keys, "place": np.arange(len(keys), dtype=np.uint32)})

    def put(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with the place of the item, UInt32, for its key; each is among the items."""
        if len(rows) == 0:
            return rows.with_columns(pl.col(ITEM_KEY).cast(pl.UInt32))
        keys = rows[ITEM_KEY].to_numpy()
        found = self._table[self._slots(keys)]
        other = np.flatnonzero(self._keys[found] != keys)
        joined = pl.DataFrame({ITEM_KEY: keys[other]}).join(
            self._all, on=ITEM_KEY, how="left", maintain_order="left", validate="m:1"
        )
        found[other] = joined["place"].to_numpy()
        return rows.with_columns(pl.Series(ITEM_KEY, found))

    def _slots(self, keys: np.ndarray) -> np.ndarray:
        return keys >> np.uint64(64 - self._bits)
