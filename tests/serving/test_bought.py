from dataclasses import replace

import numpy as np

from features.history import RECENT_DAYS, RECENT_EVENTS
from recsys.config import ExcludeBought
from recsys.state import SECONDS_A_DAY, Recent, UserState
from serving.bought import bought

NOW = 1e9
PURCHASES = ["purchase"]


def days_ago(*days: float) -> np.ndarray:
    return NOW - np.array(days) * SECONDS_A_DAY


# Item 0 was bought 20 days ago and looked at yesterday, item 1 was looked at only, item 2 was bought 100 days ago.
USER = UserState(
    np.empty(0),
    history=np.array([0, 1, 2]),
    occasions=np.ones(3),
    first_at=days_ago(20, 2, 100),
    last_at=days_ago(1, 2, 100),
    types=np.array(["purchase", "view", "purchase"]),
    spent=np.zeros(3),
    recent=Recent(np.array([0, 1, 0]), np.array(["view", "view", "purchase"]), days_ago(1, 2, 20)),
)


def items(user: UserState, *types: str, within_days: float | None = None) -> list[int]:
    return bought(user, ExcludeBought(types=[*types], within_days=within_days), NOW).tolist()


def test_what_was_ever_bought_is_known_from_the_history():
    assert items(USER, "purchase") == [0, 2]
    assert items(USER, "view") == [0, 1]
    assert items(USER, "purchase", "view") == [0, 1, 2]


def test_what_was_bought_of_late_is_exact_as_far_as_the_last_interactions_reach():
    assert items(USER, "purchase", within_days=19) == []
    assert items(USER, "purchase", within_days=21) == [0]


def test_before_them_the_last_interaction_of_any_type_counts():
    assert items(USER, "purchase", within_days=RECENT_DAYS + 1) == [0]
    assert items(USER, "purchase", within_days=101) == [0, 2]


def test_a_full_list_of_last_interactions_reaches_as_far_as_its_oldest():
    many = Recent(np.full(RECENT_EVENTS, 1), np.array(["view"] * RECENT_EVENTS), np.linspace(*days_ago(5, 0), 50)[::-1])
    user = replace(USER, recent=many)
    assert items(user, "purchase", within_days=4) == []
    # It does not reach back so far: item 0, which was bought some time, was looked at yesterday.
    assert items(user, "purchase", within_days=10) == [0]


def test_an_item_that_the_catalogue_does_not_have_is_none():
    gone = Recent(np.array([-1]), np.array(["purchase"]), days_ago(1))
    assert items(replace(USER, recent=gone), "purchase", within_days=2) == []
