from dataclasses import replace

import numpy as np
import pytest

from tests.features.families.cases import CUP, ITEMS, JAM, NEW, NOBODY, TEA, USER, row_of, user_with

STRENGTHS = [f"cooccurrence_{which}" for which in ("sum", "max", "last_occasion")]


def values_of(row: dict[str, float], *names: str) -> list[float]:
    return [row[name] for name in names]


def test_an_item_that_the_user_chose_thrice():
    found = row_of(TEA)
    assert values_of(found, "value_fit", "value_z") == [1.5, 2]  # 6 / 4, and (6 - 4) / 1
    assert values_of(found, "times_chosen", "history_rank", "in_last_occasion") == [3, 1, 0]
    assert found["share_of_occasions"] == pytest.approx(0.6)  # 3 / 5
    assert found["value_chosen"] == 6
    assert found["share_of_value"] == pytest.approx(0.1)  # 6 / 60
    assert values_of(found, "days_since_chosen", "own_gap_days") == [31, 20]  # 40 days with 2 gaps
    assert found["gap_fit"] == pytest.approx(1.55)  # 31 / 20
    assert found["user_gap_fit"] == pytest.approx(31 / 22)  # 88 days with 4 gaps
    assert values_of(found, *STRENGTHS) == [0.125] * 3  # with cup; an item is not its own neighbour


def test_occasions_fade_with_their_age_as_if_they_lay_evenly_between_the_first_and_the_last():
    # Tea on days 29, 49 and 69 of 100.
    found = row_of(TEA)
    for days in (30, 90, 180):
        expected = sum(0.5 ** (age / days) for age in (31, 51, 71))
        assert found[f"times_chosen_decayed_{days}d"] == pytest.approx(expected)
        assert row_of(CUP)[f"times_chosen_decayed_{days}d"] == pytest.approx(0.5 ** (8 / days))
        assert row_of(JAM)[f"times_chosen_decayed_{days}d"] == 0


def test_occasions_at_one_moment_fade_together():
    twice = {"occasions": np.array([1.0, 2.0]), "first_at": USER.last_at, "last_at": USER.last_at}
    user = replace(USER, **twice)
    assert row_of(TEA, user=user)["times_chosen_decayed_30d"] == pytest.approx(2 * 0.5 ** (31 / 30))


def test_an_item_was_chosen_so_many_occasions_ago():
    assert row_of(CUP)["occasions_since"] == 0
    assert row_of(TEA)["occasions_since"] == 1
    assert np.isnan(row_of(JAM)["occasions_since"])


def test_an_item_chosen_once_has_no_gap_of_its_own():
    found = row_of(CUP)
    assert values_of(found, "times_chosen", "days_since_chosen") == [1, 8]
    assert values_of(found, "in_last_occasion", "history_rank") == [1, 0]
    assert np.isnan(values_of(found, "own_gap_days", "gap_fit")).all()


def test_an_item_never_chosen_was_chosen_0_times_and_its_times_are_not_known():
    found = row_of(JAM)
    assert values_of(found, "times_chosen", "share_of_occasions", "in_last_occasion") == [0, 0, 0]
    assert values_of(found, "value_chosen", "share_of_value") == [0, 0]
    assert np.isnan(values_of(found, "days_since_chosen", "own_gap_days", "gap_fit", "history_rank")).all()


def test_cooccurrence_is_summed_over_the_history_and_over_its_latest_occasion():
    # With tea 0.75 and with cup 0.25, which was chosen on the latest occasion.
    assert values_of(row_of(JAM), *STRENGTHS) == [1.0, 0.75, 0.25]


def test_the_regression_sums_over_the_history_what_is_left_of_the_interest_in_it():
    # Cup was chosen 8 days ago and tea 31; an interest halves in 180 days.
    cup, tea = 0.5 ** (8 / 180), 0.5 ** (31 / 180)
    assert row_of(JAM)["regression_score"] == pytest.approx(2 * cup - tea)
    assert row_of(TEA)["regression_score"] == pytest.approx(4 * cup)


def test_what_is_chosen_next_is_summed_likewise_and_an_item_may_foretell_itself():
    cup, tea = 0.5 ** (8 / 180), 0.5 ** (31 / 180)
    assert row_of(JAM)["successor_score"] == pytest.approx(3 * tea - cup)
    assert row_of(TEA)["successor_score"] == pytest.approx(5 * tea)


def test_an_item_that_nobody_chose_fits_nobody_and_has_no_neighbours():
    found = row_of(NEW)
    assert np.isnan(values_of(found, "value_fit", "value_z")).all()
    assert values_of(found, *STRENGTHS, "regression_score", "successor_score") == [0] * 5


def test_a_user_never_seen_chose_nothing():
    found = row_of(TEA, user=NOBODY)
    assert (
        values_of(found, "times_chosen", "in_last_occasion", *STRENGTHS, "regression_score", "successor_score")
        == [0] * 7
    )
    assert np.isnan(values_of(found, "share_of_occasions", "value_fit", "days_since_chosen", "user_gap_fit")).all()


def test_a_user_whose_history_was_taken_away_keeps_the_behaviour():
    everything = np.ones(len(ITEMS), dtype=np.bool_)
    found = row_of(TEA, user=USER.without(everything))
    assert values_of(found, "user_occasions", "times_chosen", "share_of_occasions") == [5, 0, 0]
    assert found["cooccurrence_sum"] == 0


def test_a_user_who_only_interacts_without_value_is_no_reason_to_warn():
    found = row_of(TEA, user=user_with(value_sum=0))
    assert found["value_fit"] == np.inf
