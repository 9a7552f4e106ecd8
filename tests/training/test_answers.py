import polars as pl

from tests.training.project import catalogue_of, chosen, shown
from training.answers import answers, shown_items

CATALOGUE = catalogue_of("a", "b", "c", "d")


def rows_of(frame: pl.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    return sorted(frame.select(columns).iter_rows())


def test_each_item_that_is_known_has_a_row_with_the_place_where_it_stood_first():
    found = shown_items(shown(("r", "u", 0, "bxab"), ("s", "u", 1, "")), CATALOGUE)
    assert rows_of(found, "at", "item_id", "position", "place") == [(0, "a", 0, 2), (0, "b", 1, 0)]


def test_only_the_top_of_a_list_is_looked_at_and_not_what_is_to_be_left_out():
    without = pl.Series([False, True, False, False]).to_numpy()
    found = shown_items(shown(("r", "u", 0, "abcd")), CATALOGUE, most=3, without=without)
    assert rows_of(found, "item_id", "place") == [("a", 0), ("c", 2)]


def test_an_interaction_answers_what_it_names_and_one_that_names_nothing_what_was_shown_within_a_day_before():
    found = shown_items(shown(("r", "u", 0, "ab"), ("s", "u", 0.5, "ab"), ("t", "v", 0.5, "ab")), CATALOGUE)
    named = answers(found, chosen(("u", "a", 0.7), request_id="r"), ["purchase"])
    assert rows_of(named, "at", "position", "event_type") == [(0, 0, "purchase")]
    unnamed = answers(found, chosen(("u", "b", 0.7), ("u", "b", 1.2)), ["purchase"])
    assert rows_of(unnamed, "at", "position") == [(0, 1), (1, 1)]


def test_only_labels_answer_and_only_what_was_shown_is_answered():
    found = shown_items(shown(("r", "u", 0, "ab")), CATALOGUE)
    assert len(answers(found, chosen(("u", "a", 0.1), event_type="view", request_id="r"), ["purchase"])) == 0
    assert len(answers(found, chosen(("u", "c", 0.1), request_id="r"), ["purchase"])) == 0


def test_where_no_interaction_names_a_request_the_column_may_be_missing():
    found = shown_items(shown(("r", "u", 0, "ab")), CATALOGUE)
    assert len(answers(found, chosen(("u", "a", 0.1)).drop("request_id"), ["purchase"])) == 1
