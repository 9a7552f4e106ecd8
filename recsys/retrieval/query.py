"""What a channel may look at."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys.interest import SIGNALS, Vectors
from recsys.retrieval.from_history import FromHistory
from recsys.state import Floats, ItemState, Mask, Positions, UserState
from recsys.text_neighbours import TextNeighbours


@dataclass(frozen=True)
class Query:
    """One user's request for candidates.

    signals  float32 (n_items, n_signals): interest by text, zeros where there is neither a history nor a query; None
             when there is no text model
    exclude  bool (n_items,): items that may not be retrieved
    scored   int64 (n,), the items whose `signals`, then (n, n_signals), are known in a catalogue that is too large to
             score whole; None: all of them
    alike    which items are alike by their texts; None when there is no text model
    before   what was computed of the same user's history before
    """

    user: UserState
    items: ItemState
    signals: Vectors | None
    exclude: Mask
    scored: Positions | None = None
    alike: TextNeighbours | None = None
    before: FromHistory | None = None

    @property
    def interest(self) -> Floats | None:
        """Interest by text in every item, -inf in one that was not scored or is NaN; None without a text model, or
        with nothing that it could go by."""
        if self.signals is None or not self.signals.any():
            return None
        known = self.signals[:, SIGNALS.index("text_interest")].astype(np.float64)
        known[np.isnan(known)] = -np.inf
        if self.scored is None:
            return known
        found = self.nothing()
        found[self.scored] = known
        return found

    @cached_property
    def from_history(self) -> FromHistory:
        """What the history says of every item."""
        return self.before or FromHistory(self.user, self.items, self.alike)

    def nothing(self) -> Floats:
        """The scores of a channel that has nothing to say."""
        return np.full(len(self.items), -np.inf)
