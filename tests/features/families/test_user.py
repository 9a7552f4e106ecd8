import numpy as np
import pytest

from tests.features.families.cases import (
    CUP,
    NEW,
    NOBODY,
    TEA,
    USER_BEHAVIOUR,
    family_of,
    row_of,
    user_with,
)
from tests.features.log import seconds

HELD = {
    name: value
    for name, value in USER_BEHAVIOUR.items()
    if name.startswith(("occ", "count", "dist", "value_sum")) and name != "value_sum_squares"
}


def of_user(row: dict[str, float]) -> dict[str, float]:
    others = ("gap_fit", "events_1h")  # a cross, and one of the session
    return {name: value for name, value in family_of("user_", row).items() if name not in others}


@pytest.mark.parametrize("candidate", [TEA, CUP, NEW])
def test_what_is_known_of_a_user_is_the_same_for_every_candidate(candidate):
    assert of_user(row_of(candidate)) == HELD | {
        "value_mean": 4,  # 60 / 15
        "value_deviation": 1,  # 255 / 15 - 4² = 1
        "items_per_occasion": pytest.approx(2.4),  # 12 pairs on 5 occasions
        "repeat_share": 0.25,  # 3 of 12 pairs are of one of the 9 items once more
        "gap_days": 22,  # 88 days with 4 gaps
        "age_days": 96,
        "idle_days": 8,
    }


def test_without_a_value_there_is_no_mean_and_without_a_second_occasion_no_gap():
    found = row_of(TEA, user=user_with(value_sum=0, value_count=0, occasions=1, first_at=seconds(92)))
    missing = ("user_value_mean", "user_value_deviation", "value_fit", "value_z", "user_gap_days", "user_gap_fit")
    assert np.isnan([found[name] for name in missing]).all()


def test_equal_values_do_not_deviate_whatever_rounding_makes_of_them():
    found = row_of(TEA, user=user_with(value_sum=0.1 * 3, value_count=3, value_sum_squares=0.1**2 * 3 - 1e-17))
    assert found["user_value_deviation"] == 0


def test_nothing_is_known_of_a_user_never_seen():
    assert np.isnan(list(of_user(row_of(TEA, user=NOBODY)).values())).all()
