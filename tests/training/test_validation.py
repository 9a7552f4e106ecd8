import numpy as np
import pytest
import torch

from tests.training.project import at, catalogue_of, chosen
from training import validation
from training.validation import TextValidation, text_validation

CATALOGUE = catalogue_of("a", "b", "c", "d", "e")
A, B, C, D, E = range(5)


def cases(
    *rows: tuple[str, str, float], held_out: str = "", hidden: str = "", history_items: int = 40
) -> TextValidation:
    """The validation of the two days from day 10 on."""
    masks = [np.array([item in letters for item in CATALOGUE.item_ids]) for letters in (held_out, hidden)]
    return text_validation(
        chosen(*rows), CATALOGUE, at(10), days=2, history_items=history_items, held_out=masks[0], hidden=masks[1]
    )


def test_a_case_is_what_a_user_chose_for_the_first_time_given_what_was_chosen_before():
    (case,) = cases(("u", "a", 1), ("u", "b", 2), ("u", "b", 10), ("u", "c", 11)).unseen
    assert case.history.tolist() == [B, A]
    assert case.relevant == {C}
    assert np.flatnonzero(case.ranked).tolist() == [C, D, E]
    assert case.last.tolist() == [True, False]


def test_the_window_begins_with_its_start_and_ends_before_its_end():
    assert [case.relevant for case in cases(("u", "a", 1), ("u", "b", 10), ("u", "c", 12)).unseen] == [{B}]


def test_a_user_without_a_past_or_without_a_first_choice_gives_no_case():
    assert cases(("u", "a", 10), ("v", "a", 1), ("v", "a", 11)) == TextValidation([], [])


def test_hidden_items_are_in_no_history_not_ranked_and_not_relevant():
    found = cases(("u", "a", 1), ("u", "b", 2), ("u", "c", 11), ("u", "d", 11), hidden="bd")
    (case,) = found.unseen
    assert (case.history.tolist(), case.relevant, np.flatnonzero(case.ranked).tolist()) == ([A], {C}, [C, E])


def test_held_out_cases_rank_held_out_items_alone_with_a_history_that_never_held_one():
    found = cases(("u", "a", 1), ("u", "b", 2), ("u", "c", 11), ("u", "d", 11), held_out="bde")
    (case,) = found.held_out
    assert (case.history.tolist(), case.relevant, np.flatnonzero(case.ranked).tolist()) == ([A], {D}, [D, E])
    assert found.unseen[0].relevant == {C, D}


def test_a_history_of_nothing_but_held_out_items_gives_no_held_out_case():
    found = cases(("u", "b", 2), ("u", "d", 11), held_out="bd")
    assert (len(found.unseen), len(found.held_out)) == (1, 0)


def test_only_the_latest_items_of_a_history_count_but_all_of_it_is_left_out_of_the_ranking():
    (case,) = cases(("u", "a", 1), ("u", "b", 2), ("u", "c", 3), ("u", "d", 11), history_items=2).unseen
    assert case.history.tolist() == [C, B]
    assert np.flatnonzero(case.ranked).tolist() == [D, E]


def test_of_many_users_some_are_drawn_the_same_each_time(monkeypatch):
    monkeypatch.setattr(validation, "MAX_USERS", 3)
    rows = [row for user in range(9) for row in ((f"u{user}", "a", user), (f"u{user}", "bcde"[user % 4], 10))]
    found = cases(*rows)
    assert len(found.unseen) == 3
    assert [case.relevant for case in found.unseen] == [case.relevant for case in cases(*rows).unseen]


def test_measure_is_the_mean_ndcg_of_the_relevant_items_over_the_cases():
    # c is nearer to a than d: u finds it first, v finds d second.
    found = cases(("u", "a", 1), ("u", "c", 11), ("v", "a", 1), ("v", "d", 11))
    vectors = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [-0.6, 0.8]])
    assert found.measure(vectors) == {"unseen": pytest.approx((1 + 1 / np.log2(3)) / 2), "held_out": 0.0}
