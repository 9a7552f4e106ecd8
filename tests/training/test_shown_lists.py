from pathlib import Path

import polars as pl
import pytest

from features.store import BehaviourStore
from tests.training.project import FEATURES, WEIGHTS, at, catalogue_of, chosen, shown
from training.shown_lists import ShownList, open_shown, shown_lists

CATALOGUE = catalogue_of("a", "b", "c", "d")
LABELS = {"view": 0.2, "purchase": 1.0}


def lists_of(impressions: pl.DataFrame, *answers: pl.DataFrame) -> list[ShownList]:
    return shown_lists(impressions, pl.concat(answers), CATALOGUE, LABELS)


def test_a_list_has_the_items_in_the_order_shown_and_the_strongest_weight_that_each_was_chosen_with():
    [found] = lists_of(
        shown(("r", "u", 0, "cxab")),
        chosen(("u", "a", 0.1), request_id="r"),
        chosen(("u", "a", 0.1), ("u", "c", 0.1), event_type="view", request_id="r"),
    )
    assert (found.user, found.surface, found.asked) == ("u", "", False)
    assert found.items.tolist() == [2, 0, 1]
    assert found.places.tolist() == [0, 2, 3]  # an unknown item took the second place
    assert found.weights.tolist() == [0.2, 1.0, 0.0]


def test_lists_are_in_the_order_of_time_and_keep_who_saw_them_where():
    impressions = shown(("r", "u", 2, "ab"), ("s", "v", 1, "cd")).with_columns(surface=pl.Series(["home", None]))
    found = lists_of(impressions, chosen(("u", "b", 2.1), request_id="r"))
    assert [(one.user, one.surface, one.items.tolist()) for one in found] == [("v", "", [2, 3]), ("u", "home", [0, 1])]


def test_something_must_be_chosen_and_something_not_for_one_order_to_be_better_than_another():
    impressions = shown(("r", "u", 0, "ab"), ("s", "u", 1, "ab"), ("t", "u", 2, "ab"))
    answers = (chosen(("u", "a", 9), request_id="r"), chosen(("u", "a", 9), ("u", "b", 9), request_id="s"))
    assert [one.has_order for one in lists_of(impressions, *answers)] == [True, False, False]


def test_a_list_that_answers_a_query_says_so_and_blanks_ask_nothing():
    answers = chosen(("u", "a", 0.1), request_id="r")
    for query, asked in (("red shoes", True), ("  ", False), (None, False)):
        [found] = lists_of(shown(("r", "u", 0, "ab"), query=query), answers)
        assert found.asked == asked


def test_of_nothing_known_there_is_no_list():
    assert lists_of(shown(("r", "u", 0, "xy")), chosen(("u", "a", 0.1))) == []


@pytest.fixture
def store(tmp_path: Path) -> BehaviourStore:
    store = BehaviourStore(tmp_path, FEATURES, WEIGHTS)
    log = chosen(("u", "a", -2), ("u", "b", 0.5))
    store.snapshot(log, CATALOGUE, [at(0)])
    return store


def test_users_are_known_as_they_were_before_the_window_and_strangers_by_nothing(store):
    lists = lists_of(shown(("r", "u", 1, "ab"), ("s", "w", 1, "ab"), ("t", "u", 2, "cd")), chosen(("u", "b", 0.5)))
    window = open_shown(store, CATALOGUE, lists, start=at(0))
    assert {user: state.history.tolist() for user, state in window.states.items()} == {"u": [0], "w": []}
    assert window.items.now == at(0).timestamp()
    assert len(window.lists) == 3
