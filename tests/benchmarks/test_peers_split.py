import polars as pl

from benchmarks.peers_split import chosen
from tests.training.project import at


def test_who_was_known_is_asked_about_and_new_is_what_they_did_not_have():
    rows = [
        (0, 5, at(1)),
        (1, 6, at(1)),
        (0, 5, at(10)),  # again
        (0, 4, at(11)),
        (0, 4, at(12)),  # again, but new at the start of the days asked about
        (1, 6, at(12)),
        (2, 5, at(12)),  # of user 2 nothing was known
    ]
    interactions = pl.DataFrame(rows, ["user", "item", "timestamp"], orient="row").with_columns(label=True)
    found = {task: cases.rows() for task, cases in chosen(interactions, at(10)).items()}
    assert found == {"all": [(0, [4, 5]), (1, [6])], "new": [(0, [4])]}


def test_only_labels_are_to_be_found_but_all_that_a_user_had_is_known():
    rows = [(0, 5, at(1), False), (0, 5, at(10), True), (0, 4, at(11), False), (0, 3, at(12), True)]
    interactions = pl.DataFrame(rows, ["user", "item", "timestamp", "label"], orient="row")
    found = {task: cases.rows() for task, cases in chosen(interactions, at(10)).items()}
    assert found == {"all": [(0, [3, 5])], "new": [(0, [3])]}
