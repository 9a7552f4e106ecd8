"""A request to rank that has begun: what was found out before its interest by text was there."""

from dataclasses import dataclass
from typing import NamedTuple

from recsys.interest import Vectors
from recsys.state import Positions, UserState
from serving.types import Filtered


class Interest(NamedTuple):
    """What the text model says of candidates.

    signals  float32 (n, signals + 2); None: nothing, they are ranked without
    query    float32 (d,), the unit vector of the query, if the signals are about it
    """

    signals: Vectors | None
    query: Vectors | None


@dataclass(frozen=True, eq=False)
class Begun:
    """A request to rank, of the engine that began it.

    positions  of the candidates that may be shown
    unknown    those that the catalogue does not have
    interest   None: it is still to be asked for
    """

    by: object
    user: UserState | None
    positions: Positions
    unknown: list[str]
    filtered: list[Filtered]
    interest: Interest | None = None
