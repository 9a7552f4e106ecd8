"""What a peer is: settings to try, and how it learns under one of them."""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from benchmarks.peer_models.known import Floats, Known, Positions
from recsys.metrics import NO_ITEM

Setting = Mapping[str, Any]

USERS_AT_ONCE = 256


class Model(Protocol):
    """A peer that has learned."""

    def top(self, users: Positions, *, seen: bool, limit: int) -> Positions:
        """Items for each user, best first: int64 (n_users, limit), filled up with NO_ITEM.

        seen  whether an item that the user had may be among them
        """


@dataclass(frozen=True)
class Peer:
    """A peer.

    settings  what is tried, in this order; the first are the published defaults
    learn     yields the model after each step of learning, and goes on for as long as it is asked; what does not
              learn in steps is yielded once
    tasks     what it can do
    """

    settings: Sequence[Setting]
    learn: Callable[[Known, Setting], Iterator[Model]]
    tasks: tuple[str, ...] = ("all", "new")


def grid(default: Setting, **values: Sequence[Any]) -> list[Setting]:
    """The default, and after it every combination of the values in an order by chance, the same each time."""
    every = [dict(zip(values, found, strict=True)) for found in itertools.product(*values.values())]
    random.Random(0).shuffle(every)  # noqa: S311  no secret
    return [default, *(setting for setting in every if setting != default)]


@dataclass(frozen=True)
class Scored:
    """A model of scores: `scores` of users, int64 (n,), are float64 (n, n_items); `had` is (n_users, n_items)."""

    scores: Callable[[Positions], Floats]
    had: sp.csr_matrix

    def top(self, users: Positions, *, seen: bool, limit: int) -> Positions:
        """As a Model; equal scores go by position."""
        parts = []
        for start in range(0, len(users), USERS_AT_ONCE):
            part = users[start : start + USERS_AT_ONCE]
            scores = self.scores(part)
            if not seen:
                scores[self.had[part].nonzero()] = -np.inf
            top = np.argsort(-scores, axis=1, kind="stable")[:, :limit]
            parts.append(np.where(np.take_along_axis(scores, top, axis=1) > -np.inf, top, NO_ITEM))
        return np.concatenate(parts)
