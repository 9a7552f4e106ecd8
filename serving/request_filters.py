"""The conditions of requests over the items of an engine: each is read and computed once, and followed from then on."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from recsys.rules.columns import types_of
from recsys.rules.expression import condition
from recsys.state import Mask
from serving.item_conditions import ItemConditions

MOST: Final = 64
"""Of the latest requests; of each a byte an item, and the numbers of the categories."""


class RequestFilters:
    """Not thread-safe."""

    def __init__(self, items: pl.DataFrame, changed: Mapping[int, Mapping[str, Any]]) -> None:
        """items    the items table of a bundle
        changed  what of them was added or changed since, as it is at the moment of a request
        """
        self._items, self._types, self._changed = items, types_of(items), changed
        self._known: OrderedDict[str, ItemConditions] = OrderedDict()

    def met(self, where: str) -> Mask:
        """The items that meet a condition: bool (n_items,). Raises ExpressionError."""
        known = self._known.get(where)
        if known is None:
            known = ItemConditions(self._items, self._types, [condition(where, self._types)])
            known.follow(self._changed)
            self._known[where] = known
            if len(self._known) > MOST:
                self._known.popitem(last=False)
        self._known.move_to_end(where)
        return known.met(0)

    def follow(self, changed: Mapping[int, Mapping[str, Any]]) -> None:
        """Items that were added or changed: position → all columns as they were sent, item_id among them."""
        for known in self._known.values():
            known.follow(changed)
