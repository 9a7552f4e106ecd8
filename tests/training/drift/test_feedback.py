import numpy as np
import polars as pl
import pytest

from recsys.catalogue import Catalogue
from tests.training.drift.tables import SETTINGS, interactions, periods
from tests.training.project import catalogue_of
from training.drift.feedback import feedback_figures

PERIODS = periods(0, 0, 28, 28, 35)
CATALOGUE = Catalogue.load(pl.DataFrame({"item_id": ["a", "b"], "title": ["A", "B"], "category": ["toys", "books"]}))


def ratings(item: str, day: float, value: float) -> list[tuple[str, str, str, float, float | None]]:
    return [(f"u{user}", item, "rating", day, value) for user in range(100)]


def test_ratings_of_a_category_that_turn_sour_are_an_alert_and_those_of_others_are_not():
    rows = [*ratings("a", 10, 5.0), *ratings("b", 10, 4.0), *ratings("a", 30, 2.0), *ratings("b", 30, 4.0)]
    found = feedback_figures(SETTINGS, interactions(rows), CATALOGUE, PERIODS, ("rating",))
    by_name = {figure.name: (figure.before, figure.now, figure.level) for figure in found}
    assert by_name == {"books: value of rating": (4.0, 4.0, "ok"), "toys: value of rating": (5.0, 2.0, "alert")}


def test_types_of_events_are_compared_by_category_and_told_by_the_share_of_labels():
    rows = [(f"u{user}", "a", kind, 10, None) for user in range(100) for kind in ("like", "dislike")]
    rows += [(f"u{user}", "a", "like" if user < 20 else "dislike", 30, None) for user in range(100)]
    (figure,) = feedback_figures(SETTINGS, interactions(rows), CATALOGUE, PERIODS, ("like",))
    assert (figure.name, figure.before, figure.now, figure.level) == ("toys: event types", 0.5, 0.2, "alert")
    assert figure.value == pytest.approx(0.3 * np.log(4))


def test_without_categories_or_anything_to_compare_it_says_so():
    rows = interactions([("u", "a", "view", 10, None), ("u", "a", "view", 30, None)])
    assert feedback_figures(SETTINGS, rows, catalogue_of("a"), PERIODS, ("view",)) == "the items have no categories"
    assert "none of them carries a value" in feedback_figures(SETTINGS, rows, CATALOGUE, PERIODS, ("view",))
