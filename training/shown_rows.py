"""Rows of the ranker from logged impressions: each is a group, of what was shown.

Features are those of a request to rank these very items, as of the beginning of the window: nothing is newer than the
text model that scores the window, and nothing tells what was chosen. Of impressions that answer a query none is learned
from, for the ranker does not order answers to queries.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from features.recommender import Recommender
from recsys.progress import progress
from training.ranker_rows import RankerRows
from training.shown_lists import ShownList, ShownWindow

MOST_PLACES: Final = 50
"""Items of an impression that are looked at, from the top: few users look further."""

LISTS_OF_A_USER: Final = 10
"""Of a window, drawn at random: with more, a few users would be most of what is learned from."""

LISTS_OF_A_WINDOW: Final = 20_000

ENOUGH_LISTS: Final = 1_000
"""With so many of all windows nothing else need be learned from: what was retrieved and not chosen may never have been
seen, and learning that it was refused costs more than the further lists bring."""


def drawn(lists: Sequence[ShownList], *, seed: int) -> list[ShownList]:
    """The lists that are learned from, in their order: of each user and of all together no more than so many."""
    fit = [one for one in lists if one.has_order and not one.asked]
    taken: list[int] = []
    of_user: Counter[str] = Counter()
    for at in np.random.default_rng(seed).permutation(len(fit)).tolist():
        if of_user[fit[at].user] < LISTS_OF_A_USER and len(taken) < LISTS_OF_A_WINDOW:
            of_user[fit[at].user] += 1
            taken.append(at)
    return [fit[at] for at in sorted(taken)]


def shown_rows(
    recommender: Recommender, window: ShownWindow, *, gain_of: Mapping[float, int], surfaces: Sequence[str]
) -> RankerRows | None:
    """A group for each list, its items in the order shown; None when there is no list.

    surfaces  every surface that lists are from, the same for all windows: a place is one of a surface
    """
    if not window.lists:
        return None
    matrices = []
    with progress(f"ranker rows of impressions from {window.start:%Y-%m-%d}", len(window.lists)) as advance:
        for one in window.lists:
            user = window.states[one.user]
            matrices.append(recommender.assemble(user, one.items, recommender.signals(user, one.items)))
            advance()
    gains = [gain_of.get(weight, 0) for one in window.lists for weight in one.weights.tolist()]
    numbers = {surface: 1 + at * MOST_PLACES for at, surface in enumerate(surfaces)}
    return RankerRows(
        np.concatenate(matrices),
        np.array(gains, dtype=np.int32),
        np.array([len(one.items) for one in window.lists]),
        np.concatenate([numbers[one.surface] + one.places for one in window.lists]).astype(np.int32),
    )


def surfaces_of(names: Iterable[str | None]) -> list[str]:
    """Each once, by name; one that is not named is the empty one."""
    return sorted({name or "" for name in names})
