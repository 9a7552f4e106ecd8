"""Cases of an evaluation, by hand."""

from collections.abc import Sequence

import numpy as np

from tests.training.project import user_of
from training.yardstick import Case


def case_of(user_id: str, *relevant: int, history: Sequence[int] = (), n_items: int = 6) -> Case:
    """A user who chose each item of the history once, for whom every item may be ranked."""
    nothing = np.zeros(n_items, dtype=np.bool_)
    return Case(user_of(dict.fromkeys(history, 1.0)), nothing, frozenset(relevant), user_id)
