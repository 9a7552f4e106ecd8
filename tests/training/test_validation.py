import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from tests.training.project import at, catalogue_of, chosen, config_of
from training import validation
from training.user_tower import UserTower
from training.validation import TextCase, TextValidation, ndcg_of, text_validation

CATALOGUE = catalogue_of("a", "b", "c", "d", "e")
A, B, C, D, E = range(5)


TOWER = UserTower.configured(config_of())


def cases(
    *rows: tuple[str, str, float],
    more: pl.DataFrame | None = None,
    held_out: str = "",
    hidden: str = "",
    history_items: int = 40,
) -> TextValidation:
    """The validation of the two days from day 10 on."""
    masks = [np.array([item in letters for item in CATALOGUE.item_ids]) for letters in (held_out, hidden)]
    interactions = chosen(*rows) if more is None else pl.concat([chosen(*rows), more])
    config = config_of(history_items=history_items)
    return text_validation(interactions, CATALOGUE, config, at(10), days=2, held_out=masks[0], hidden=masks[1])


def encode(queries: list[str]) -> Tensor:
    """Queries are numbers: degrees on the circle."""
    radians = torch.tensor([float(query) for query in queries]).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def test_a_case_is_what_a_user_chose_for_the_first_time_given_what_was_chosen_before():
    (case,) = cases(("u", "a", 1), ("u", "b", 2), ("u", "b", 10), ("u", "c", 11)).unseen
    assert case.past.items.tolist() == [B, A]
    assert case.past.age_days.tolist() == [8, 9]
    assert case.relevant == {C}
    assert np.flatnonzero(case.ranked).tolist() == [C, D, E]
    assert case.query is None


def test_the_window_begins_with_its_start_and_ends_before_its_end():
    assert [case.relevant for case in cases(("u", "a", 1), ("u", "b", 10), ("u", "c", 12)).unseen] == [{B}]


def test_a_user_without_a_past_or_without_a_first_choice_gives_no_case():
    assert cases(("u", "a", 10), ("v", "a", 1), ("v", "a", 11)) == TextValidation([], [], [])


def test_a_log_of_nothing_that_may_be_looked_at_gives_no_case():
    assert cases(("u", "a", 1), ("u", "b", 11), hidden="ab") == TextValidation([], [], [])


def test_only_labels_are_to_be_found():
    found = cases(("u", "a", 1), ("u", "c", 11), more=chosen(("u", "b", 11), event_type="view"))
    assert [case.relevant for case in found.unseen] == [{C}]


def test_what_was_chosen_after_typing_a_query_is_a_case_of_its_own_with_all_that_was_known_then():
    asked = chosen(("u", "b", 11), ("v", "d", 11.5), query="60")
    found = cases(("u", "a", 1), ("u", "e", 10.5), more=asked)
    assert [(case.query, case.relevant) for case in found.asked] == [("60", {B}), ("60", {D})]
    known, nothing = found.asked
    assert (known.past.items.tolist(), nothing.past.items.tolist()) == ([E, A], [])
    assert np.flatnonzero(known.ranked).tolist() == [A, B, C, D, E]  # what was known may be asked for again
    # The same choice is not looked for without the query.
    assert [case.relevant for case in found.unseen] == [{E}]


def test_a_hidden_item_that_was_asked_for_gives_no_case():
    found = cases(("u", "a", 1), more=chosen(("u", "b", 11), ("u", "c", 11), query="60"), hidden="b")
    assert [case.relevant for case in found.asked] == [{C}]
    assert np.flatnonzero(found.asked[0].ranked).tolist() == [A, C, D, E]


def test_a_log_without_queries_has_no_such_case():
    interactions = chosen(("u", "a", 1), ("u", "b", 11)).drop("query")
    nothing = np.zeros(5, dtype=np.bool_)
    found = text_validation(interactions, CATALOGUE, config_of(), at(10), days=2, held_out=nothing, hidden=nothing)
    assert (len(found.unseen), found.asked) == (1, [])


def test_hidden_items_are_in_no_history_not_ranked_and_not_relevant():
    found = cases(("u", "a", 1), ("u", "b", 2), ("u", "c", 11), ("u", "d", 11), hidden="bd")
    (case,) = found.unseen
    assert (case.past.items.tolist(), case.relevant, np.flatnonzero(case.ranked).tolist()) == ([A], {C}, [C, E])


def test_held_out_cases_rank_held_out_items_alone_with_a_history_that_never_held_one():
    found = cases(("u", "a", 1), ("u", "b", 2), ("u", "c", 11), ("u", "d", 11), held_out="bde")
    (case,) = found.held_out
    assert (case.past.items.tolist(), case.relevant, np.flatnonzero(case.ranked).tolist()) == ([A], {D}, [D, E])
    assert found.unseen[0].relevant == {C, D}


def test_a_history_of_nothing_but_held_out_items_gives_no_held_out_case():
    found = cases(("u", "b", 2), ("u", "d", 11), held_out="bd")
    assert (len(found.unseen), len(found.held_out)) == (1, 0)


def test_only_the_latest_items_of_a_history_count_but_all_of_it_is_left_out_of_the_ranking():
    (case,) = cases(("u", "a", 1), ("u", "b", 2), ("u", "c", 3), ("u", "d", 11), history_items=2).unseen
    assert case.past.items.tolist() == [C, B]
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
    # Of a kind that there is no case of nothing is said.
    assert found.measure(vectors, TOWER, encode) == {"unseen": pytest.approx((1 + 1 / np.log2(3)) / 2)}


def test_each_kind_of_case_has_a_figure_of_its_own():
    # At 0, 20, 40, 60 and 90 degrees; b and d are held out.
    vectors = encode(["0", "20", "40", "60", "90"])
    asked = chosen(("v", "e", 11), query="60")
    found = cases(("u", "a", 1), ("u", "c", 11), ("u", "d", 11), more=asked, held_out="bd").measure(
        vectors, TOWER, encode
    )
    second, third, both = 1 / np.log2(3), 1 / np.log2(4), 1 + 1 / np.log2(3)
    assert found == {
        # After a: b, c, d, e, of which the second and the third were chosen; of held-out ones b, then d.
        "unseen": pytest.approx((second + third) / both),
        "held_out": pytest.approx(second),
        # From 60 degrees: d, c, e.
        "asked": pytest.approx(third),
    }


def test_a_query_counts_beside_the_history():
    vectors = encode(["0", "20", "40", "60", "90"])
    past = cases(("u", "a", 1), ("u", "b", 11)).unseen[0].past
    ranked = np.ones(5, dtype=np.bool_)
    alone, with_query = (TextCase(past, ranked, frozenset([E]), query) for query in (None, "85"))
    # By the history alone e is the last of five; the query has three quarters of the say.
    assert ndcg_of([alone], vectors, TOWER) == pytest.approx(1 / np.log2(6))
    cosine = [0.25 * np.cos(np.radians(at)) + 0.75 * np.cos(np.radians(85 - at)) for at in (0, 20, 40, 60, 90)]
    rank = sorted(cosine, reverse=True).index(cosine[E])
    assert 0 < rank < 4
    assert ndcg_of([with_query], vectors, TOWER, encode) == pytest.approx(1 / np.log2(rank + 2))


def test_what_the_tower_learned_of_ages_changes_who_comes_first():
    # a was chosen long ago, e yesterday; b is nearer to a than d to e.
    vectors = encode(["0", "10", "45", "65", "90"])
    (case,) = cases(("u", "a", -300), ("u", "e", 9), ("u", "d", 10)).unseen
    found = {}
    for power in (0.0, 2.0):
        tower = UserTower.configured(config_of())
        torch.nn.init.constant_(tower.age_power, power)
        found[power] = ndcg_of([case], vectors, tower)
    assert found == {0.0: pytest.approx(1 / np.log2(3)), 2.0: 1.0}
