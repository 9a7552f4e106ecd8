"""What a channel may look at."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys.interest import SIGNALS, Vectors
from recsys.retrieval.from_history import FromHistory
from recsys.state import Floats, ItemState, Mask, UserState


@dataclass(frozen=True)
class Query:
    """One user's request for candidates.

    signals  float32 (n_items, n_signals): interest by text, zeros where there is neither a history nor a query; None
             when there is no text model
    exclude  bool (n_items,): items that may not be retrieved
    """

    user: UserState
    items: ItemState
    signals: Vectors | None
    exclude: Mask

    @property
    def interest(self) -> Floats | None:
        """Interest by text in every item; None without a text model, or with nothing that it could go by."""
        if self.signals is None or not self.signals.any():
            return None
        return self.signals[:, SIGNALS.index("text_interest")].astype(np.float64)

    @cached_property
    def from_history(self) -> FromHistory:
        """What the history says of every item."""
        return FromHistory(self.user, self.items)

    def nothing(self) -> Floats:
        """The scores of a channel that has nothing to say."""
        return np.full(len(self.items), -np.inf)
