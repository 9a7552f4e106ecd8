"""How an item stands in the catalogue for one user, in standard deviations over an even sample of all items.

What is a high interest for one user is a low one for another; a ranker cannot tell from the bare figure.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.interest import popular_interest
from recsys.state import Floats, Positions

STANDING_FEATURES: Final = (
    "text_interest_z",  # the interest
    "text_popular_z",  # the interest and log popularity, as the channel interest_popular retrieves by
)
SAMPLE: Final = 256
"""Items of the sample."""

SMALLEST_DEVIATION: Final = 1e-6
"""Keeps the figures finite in a catalogue of items that are all alike."""


@cache
def sample_of(n_items: int) -> Positions:
    """At most SAMPLE positions, evenly spread over the catalogue."""
    return np.unique(np.linspace(0, n_items - 1, SAMPLE).astype(np.int64))


def standing(
    interest: NDArray[np.float32], users: Floats, sample_interest: NDArray[np.float32], sample_users: Floats
) -> NDArray[np.float32]:
    """STANDING_FEATURES of some items, float32 (n, 2).

    interest  float32 (n,), and beside it `users` float64 (n,), the popularity; both again for the items of the sample
    """
    columns = []
    for values, of_sample in (
        (interest, sample_interest),
        (popular_interest(interest, users), popular_interest(sample_interest, sample_users)),
    ):
        columns.append((values - of_sample.mean()) / (of_sample.std() + SMALLEST_DEVIATION))
    return np.stack(columns, axis=1).astype(np.float32)
