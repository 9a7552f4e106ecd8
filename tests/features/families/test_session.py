from dataclasses import replace

import numpy as np
import pytest

from recsys.state import Recent
from tests.features.families.cases import CUP, JAM, NOBODY, TEA, USER, rows_of
from tests.features.log import seconds

NOW = seconds(100)
UNKNOWN = -1
NAMES = ("user_events_1h", "session_events", "session_minutes", "session_times_chosen")


def session_of(candidates: list[int], *events: tuple[int, float]) -> list[tuple[float, ...]]:
    """Of events of an item so many minutes ago, the latest first."""
    items, ago = zip(*events, strict=True) if events else ((), ())
    recent = Recent(np.array(items, dtype=np.int64), np.full(len(items), "view"), NOW - 60 * np.array(ago))
    return [tuple(row[name] for name in NAMES) for row in rows_of(candidates, user=replace(USER, recent=recent))]


def test_a_session_goes_back_to_the_last_break_of_half_an_hour():
    events = [(TEA, 10), (CUP, 39), (TEA, 50), (UNKNOWN, 55), (TEA, 90), (TEA, 91)]
    # Four within the hour; from the fifth to the fourth 35 minutes passed.
    assert session_of([TEA, CUP, JAM], *events) == [(4, 4, 55, 2), (4, 4, 55, 1), (4, 4, 55, 0)]


def test_an_hour_and_a_session_are_not_the_same():
    assert session_of([TEA], (TEA, 5), (TEA, 40)) == [(2, 1, 5, 1)]
    assert session_of([TEA], *((TEA, ago) for ago in (20, 40, 60, 80))) == [(2, 4, 80, 4)]


def test_who_did_nothing_for_half_an_hour_is_in_no_session():
    assert session_of([TEA], (TEA, 31), (TEA, 32)) == [(2, 0, 0, 0)]
    assert session_of([TEA], (TEA, 30)) == [(1, 1, 30, 1)]


@pytest.mark.parametrize("user", [USER, NOBODY], ids=["nothing recent", "a user never seen"])
def test_who_did_nothing_lately_is_in_no_session(user):
    (found,) = rows_of([TEA], user=user)
    assert [found[name] for name in found if name in NAMES] == [0] * 4
