"""What a scorer is asked of users, as the arrays that its graphs take: of one user, or of several."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.state import SECONDS_A_DAY, Floats, Positions, UserState

Numbers = NDArray[np.float32]
_OfHistory = tuple[Positions, Positions, Numbers, Numbers, Numbers, Numbers]


class Question(NamedTuple):
    """What InterestScorer.score is asked, with its arguments."""

    user: UserState
    now: float
    candidates: Positions | None = None
    query: Numbers | None = None


class Inputs(NamedTuple):
    """A history, the latest first, and a query, under the names that the graphs have for them; … may be a batch.

    history, kind                       int64 (…, h)
    age_days, occasions, present, last  float32 (…, h)
    query, has_query                    float32 (…, d) and (…, 1), or of a batch (users,)
    """

    history: Positions
    kind: Positions
    age_days: Numbers
    occasions: Numbers
    present: Numbers
    last: Numbers
    query: Numbers
    has_query: Numbers

    @classmethod
    def of(cls, asked: Question, kinds: Positions, known: Positions, *, dimension: int) -> "Inputs":
        """Of one user: the items at `known` of the history, whose types are `kinds`."""
        user, query = asked.user, np.zeros(dimension) if asked.query is None else asked.query
        if len(known):
            parts: _OfHistory = (
                user.history[known],
                kinds[known],
                _numbers((asked.now - user.last_at[known]) / SECONDS_A_DAY),
                _numbers(user.occasions[known]),
                np.ones(len(known), dtype=np.float32),
                _numbers(user.in_last_occasion[known]),
            )
        else:
            parts = _NO_HISTORY
        return cls(*parts, _numbers(query), np.array([asked.query is not None], dtype=np.float32))

    @classmethod
    def padded(cls, users: Sequence["Inputs"]) -> "Inputs":
        """Of several users: behind the end of a history stand rows that do not count."""
        most = max(len(user.history) for user in users)
        parts = [
            np.stack([np.pad(part, (0, most - len(part)), constant_values=filler) for part in parts])
            for filler, parts in zip(_PADDING, list(zip(*users, strict=True))[: len(_PADDING)], strict=True)
        ]
        query, has_query = np.stack([user.query for user in users]), np.concatenate([user.has_query for user in users])
        return cls._make([*parts, query, has_query])


def padded_candidates(candidates: Sequence[Positions]) -> Positions:
    """Positions of several users, int64 (users, the most of one); any item fills the rows up."""
    found = np.zeros((len(candidates), max(len(one) for one in candidates)), dtype=np.int64)
    for row, one in zip(found, candidates, strict=True):
        row[: len(one)] = one
    return found


def _numbers(values: Floats | Numbers | NDArray[np.bool_]) -> Numbers:
    return np.ascontiguousarray(values, dtype=np.float32)


_PADDING: Final = (0, 0, 0.0, 1.0, 0.0, 0.0)
"""What fills up each array of a history: any item, of any type, which is not present."""

_NO_HISTORY: Final[_OfHistory] = (
    np.zeros(1, dtype=np.int64),
    np.zeros(1, dtype=np.int64),
    np.zeros(1, dtype=np.float32),
    np.ones(1, dtype=np.float32),
    np.zeros(1, dtype=np.float32),
    np.zeros(1, dtype=np.float32),
)
"""The graphs want a row: such a one."""
