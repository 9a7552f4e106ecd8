import numpy as np

from tests.training.drift.tables import SETTINGS
from training.drift.served import BothServed, Served


def served(values: np.ndarray, parts: np.ndarray, *, items: int = 1000) -> Served:
    """A list a row, with this one feature, which is the score as well."""
    rows = np.arange(len(values))
    return Served(values[:, None].astype(np.float32), values.astype(np.float64), rows, rows % items, parts)


HALVES = np.repeat([0, 1], 500)
STEADY = np.tile(np.arange(10), 100)


def level(before: np.ndarray, now: np.ndarray, **how: object) -> str:
    """Of the feature."""
    found = BothServed("computed", ("f",), served(before, HALVES, **how), served(now, HALVES, **how))
    return found.figures(SETTINGS)[0].level


def test_a_feature_that_moves_is_an_alert_and_so_are_scores_that_do():
    found = BothServed("computed", ("f",), served(STEADY, HALVES), served(STEADY // 2, HALVES)).figures(SETTINGS)
    assert [(figure.kind, figure.name, figure.level) for figure in found] == [
        ("features", "f", "alert"),
        ("scores", "scores", "alert"),
    ]


def test_what_moves_as_much_from_one_time_of_the_reference_to_the_other_is_no_news():
    trend = np.where(HALVES == 0, STEADY // 2, STEADY)
    assert level(trend, STEADY // 2) == "ok"


def test_rows_of_few_items_say_little():
    assert level(STEADY, STEADY // 2, items=12) == "ok"


def test_a_feature_that_the_ranker_hardly_goes_by_is_a_note_at_most():
    both = BothServed("computed", ("f",), served(STEADY, HALVES), served(STEADY // 2, HALVES), minor=frozenset({"f"}))
    assert [figure.level for figure in both.figures(SETTINGS)] == ["note", "alert"]


def test_an_age_is_no_figure():
    before = served(STEADY, HALVES)
    found = BothServed("computed", ("f",), before, before, ages=frozenset({"f"})).figures(SETTINGS)
    assert [figure.name for figure in found] == ["scores"]
