import numpy as np
import polars as pl
import pytest

from tests.training.drift.tables import SETTINGS, interactions, periods
from tests.training.project import catalogue_of, chosen, shown
from training.drift.clicks import click_figures
from training.drift.served import BothServed, Served

CATALOGUE = catalogue_of("a", "b")
PERIODS = periods(0, 10, 38, 38, 46)
"""The latest days begin on day 38; what was shown on the last one, from day 45 on, may still be chosen."""


def lists(name: str, day: float, items: str, clicks: str, *, count: int = 200) -> tuple[pl.DataFrame, pl.DataFrame]:
    """As many lists of these items, each to a user of its own, and what each of them chose."""
    rows = [(f"{name}{at}", f"{name}{at}", day, items) for at in range(count)]
    chose = [(f"{name}{at}", item, day + 0.01) for at in range(count) for item in clicks]
    return shown(*rows), chosen(*chose) if chose else interactions([]).with_columns(weight=pl.lit(1.0))


def figures(*parts: tuple[pl.DataFrame, pl.DataFrame], served: BothServed | None = None):
    impressions = pl.concat([part[0] for part in parts])
    given = pl.concat([part[1] for part in parts], how="diagonal_relaxed")
    return click_figures(SETTINGS, impressions, given, CATALOGUE, PERIODS, ("purchase",), served)


def test_without_impressions_it_says_that_nobody_knows_what_was_shown():
    found = click_figures(SETTINGS, None, interactions([]), CATALOGUE, PERIODS, ("purchase",), None)
    assert found == "no impressions were imported, so nobody knows what was shown"


def test_with_few_lists_it_says_how_many_there_are():
    found = figures(lists("b", 20, "ab", "a"), lists("n", 40, "ab", "a", count=99))
    assert found == "99 lists were shown from 2024-02-08 to 2024-02-15, expected at least 100"


def test_clicks_of_now_are_held_against_those_of_before_at_the_same_place():
    before = [lists("b", 20, "ab", "a"), lists("c", 20, "ab", "b", count=100), lists("d", 20, "ab", "", count=100)]
    (figure,), (first, second) = figures(*before, lists("n", 40, "ab", "a"), lists("m", 40, "ab", "", count=600))
    assert (first.place, first.before, first.expected, first.now, first.shown) == (1, 0.5, 0.5, 0.25, 800)
    assert (second.before, second.now) == (0.25, 0.0)
    width = 1.96 * np.sqrt(0.25 * 0.75 / 800)
    assert first.interval == pytest.approx((0.25 - width, 0.25 + width))
    # 200 clicks where 400 and 200 were expected.
    assert (figure.value, figure.level) == (pytest.approx(200 / 600 - 1), "alert")
    assert (figure.before, figure.now) == (0.375, 0.125)


def test_a_difference_that_a_few_users_can_make_is_not_an_alert():
    before = [lists("b", 20, "ab", "a", count=12), lists("c", 20, "ab", "", count=188)]
    (figure,), _ = figures(*before, lists("n", 40, "ab", "a", count=8), lists("m", 40, "ab", "", count=192))
    assert (figure.value, figure.level) == (pytest.approx(-1 / 3), "ok")
    assert figure.chance > 1


def test_what_was_shown_on_the_last_day_waits_for_its_clicks():
    found = figures(lists("b", 20, "ab", "a"), lists("n", 45.5, "ab", ""))
    assert "0 lists were shown" in found


def served(rows: list[tuple[str, str, float]]) -> Served:
    """Logged items, each as (request, item, score)."""
    keys = pl.DataFrame({"request_id": [row[0] for row in rows], "item_id": [row[1] for row in rows]})
    nothing, features = np.zeros(len(rows), dtype=np.int64), np.empty((len(rows), 0), dtype=np.float32)
    return Served(features, np.array([row[2] for row in rows]), nothing, nothing, nothing, keys)


def test_where_scores_are_known_better_items_are_expected_to_be_chosen_more_often():
    # Before, a of score 1 was always chosen, and b of score 0 in half of the lists; now everybody is shown a.
    before = [lists("b", 20, "a", "a"), lists("c", 20, "b", "b", count=100), lists("d", 20, "b", "", count=100)]
    then = [(f"b{at}", "a", 1.0) for at in range(200)]
    then += [(f"{name}{at}", "b", 0.0) for name in "cd" for at in range(100)]
    both = BothServed("logged", (), served(then), served([(f"n{at}", "a", 1.0) for at in range(200)]))
    (figure,), (place,) = figures(*before, lists("n", 40, "a", "a"), served=both)
    # Of all lists 0.75 were answered: 1 / 0.75 times that.
    assert (place.before, place.expected, place.now) == (0.75, pytest.approx(1.0), 1.0)
    assert figure.level == "ok"
    assert figures(*before, lists("n", 40, "a", "a"))[0][0].level == "alert"
