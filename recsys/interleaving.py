"""Compare two rankings online: mix them into one list, and see whose items are clicked.

Team draft: as captains choose players, the rankings take turns to put their best item that is not in the list yet; a
coin says who begins each round. Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval quality?",
2008.

    shown = team_draft(ours, theirs, length=10, request_id="r-17")
    shown.credit(clicked)   →  (clicks for the first ranking, clicks for the second)
    compare(outcomes)       →  which one users prefer, and whether that may be chance
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import polars as pl

from recsys.errors import DataError
from recsys.schema import USER_ID

CONFIDENCE: Final = 0.95
FIRST, SECOND = "first", "second"
"""Columns of the clicks that each ranking earned."""


@dataclass(frozen=True)
class Interleaved:
    """A list to show, and for each item whether the first ranking put it there."""

    items: list[str]
    of_first: list[bool]

    def credit(self, clicked: Collection[str]) -> tuple[int, int]:
        """How many of the clicked items the first ranking put there, and how many the second."""
        of_first = [first for item, first in zip(self.items, self.of_first, strict=True) if item in clicked]
        return sum(of_first), len(of_first) - sum(of_first)


def team_draft(
    first: Sequence[str], second: Sequence[str], *, length: int, request_id: str, experiment: str = ""
) -> Interleaved:
    """The two rankings, best first, mixed into at most `length` items; the list ends where both have ended.

    The coins are bits of a hash of experiment and request: the same request gives the same list anywhere, and coins of
    different experiments are independent of each other.
    """
    coins = _Coins(f"{experiment}\x1f{request_id}")
    rankings, places, sizes = (first, second), [0, 0], [0, 0]
    items: dict[str, bool] = {}
    while len(items) < length:
        for team, ranking in enumerate(rankings):
            while places[team] < len(ranking) and ranking[places[team]] in items:
                places[team] += 1
        can = [places[team] < len(ranking) for team, ranking in enumerate(rankings)]
        if not any(can):
            break
        team = int(sizes[0] > sizes[1]) if sizes[0] != sizes[1] else coins.toss()
        team = team if can[team] else 1 - team
        items[rankings[team][places[team]]] = team == 0
        sizes[team] += 1
    return Interleaved(list(items), list(items.values()))


class _Coins:
    """Fair coins, as many as are wanted, from the hash of a text."""

    def __init__(self, text: str) -> None:
        self._text, self._bits, self._left, self._block = text, 0, 0, 0

    def toss(self) -> int:
        """0 or 1."""
        if not self._left:
            digest = blake2b(self._text.encode(), digest_size=16, salt=self._block.to_bytes(8, "little")).digest()
            self._bits, self._left, self._block = int.from_bytes(digest, "little"), 128, self._block + 1
        found = self._bits & 1
        self._bits, self._left = self._bits >> 1, self._left - 1
        return found


@dataclass(frozen=True)
class Comparison:
    """What the clicks say.

    users           with a click
    prefer_first    of those, users who clicked more of the first ranking than of the second
    prefer_second   the other way round; the rest clicked as many of both
    share           prefer_first / (prefer_first + prefer_second), .5 when nobody prefers anything
    low, high       its 95 % interval (Clopper and Pearson, 1934)
    p_value         of a preference as strong or stronger, either way, when users prefer neither: the exact sign test
    """

    users: int
    prefer_first: int
    prefer_second: int
    share: float
    low: float
    high: float
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether it is hardly chance: of comparisons of equally good rankings, one in twenty or fewer says so."""
        return self.p_value <= 1 - CONFIDENCE


def compare(outcomes: pl.DataFrame) -> Comparison:
    """The preferences of users from the clicks of their requests.

    outcomes  one row a request: user_id, first, second (clicks that each ranking earned, as Interleaved.credit says)

    A user counts once, however many requests there were: requests of a user are not independent, and the most active
    ones must not decide. Look once, when the planned number of users is there: whoever looks again and again until
    something is significant finds something.

    Raises DataError when a column is missing or holds no numbers of clicks.
    """
    missing = [name for name in (USER_ID, FIRST, SECOND) if name not in outcomes.columns]
    if missing:
        raise DataError(f"outcomes: found the columns {outcomes.columns}, expected also {missing}; one row a request")
    bad = outcomes.filter(
        ~(pl.min_horizontal(FIRST, SECOND) >= 0).fill_null(False) | pl.any_horizontal(pl.all().is_null())
    )
    if bad.height:
        raise DataError(f"outcomes: found {bad.row(0, named=True)}, expected a user and two numbers of clicks")
    by_user = outcomes.group_by(USER_ID).agg(pl.col(FIRST, SECOND).sum())
    clicked = by_user.filter((pl.col(FIRST) + pl.col(SECOND)) > 0)
    prefer_first = int((clicked[FIRST] > clicked[SECOND]).sum())
    prefer_second = int((clicked[FIRST] < clicked[SECOND]).sum())
    decided = prefer_first + prefer_second
    if not decided:
        return Comparison(clicked.height, 0, 0, 0.5, 0.0, 1.0, 1.0)
    # Here, for it takes half a second, and a server only mixes lists.
    import scipy.stats

    test = scipy.stats.binomtest(prefer_first, decided)
    low, high = test.proportion_ci(CONFIDENCE)
    share = prefer_first / decided
    return Comparison(clicked.height, prefer_first, prefer_second, share, float(low), float(high), float(test.pvalue))
