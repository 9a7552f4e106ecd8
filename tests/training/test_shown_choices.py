import numpy as np
import polars as pl
import pytest
import torch

from recsys.config import InteractionType
from tests.training.project import TYPES, catalogue_of, chosen, shown
from training import shown_choices
from training.histories import Log
from training.next_choices import Choices
from training.shown_choices import ShownChoices

CATALOGUE = catalogue_of("a", "b", "c", "d", "e")
A, B, C, D, E = range(5)
PAST = chosen(("v", "e", -2), ("u", "d", -1))


def shown_of(
    impressions: pl.DataFrame,
    *answers: pl.DataFrame,
    without: str = "",
    types: dict[str, InteractionType] = TYPES,
    labels: tuple[str, ...] = ("purchase",),
) -> ShownChoices:
    mask = np.array([item in without for item in CATALOGUE.item_ids])
    interactions = pl.concat([PAST, *answers])
    log = Log.of(interactions, CATALOGUE, types, without=mask)
    assert log is not None
    return ShownChoices(log, impressions, interactions, CATALOGUE, labels, without=mask, history_items=40)


def draw(found: ShownChoices, seed: int = 0) -> Choices:
    return found.draw(np.random.default_rng(seed))


def answered(found: ShownChoices) -> set[tuple[str, str]]:
    """What can be drawn: the items of each impression, with those that were chosen in capitals."""
    if len(found) == 0:
        return set()
    seen = set()
    for seed in range(5):
        drawn = draw(found, seed)
        for row in range(len(drawn.candidates)):
            places = (drawn.offset[row] == 0).nonzero()[:, 0].tolist()
            letters = [CATALOGUE.item_ids[int(drawn.candidates[row, place])] for place in places]
            worths = [float(drawn.targets[:, row, place].max()) for place in places]
            assert set(worths) <= {0.0, 1.0}
            last = drawn.pasts.items[row][drawn.pasts.present[row] > 0][:1].tolist()
            name = "".join(
                letter.upper() if worth else letter for letter, worth in sorted(zip(letters, worths, strict=True))
            )
            seen.add((name, "".join(CATALOGUE.item_ids[item] for item in last)))
    return seen


def test_what_was_shown_and_passed_over_counts_as_refused():
    found = shown_of(shown(("r", "u", 0, "cab")), chosen(("u", "a", 0.1)))
    assert answered(found) == {("Abc", "d")}


def test_an_interaction_answers_the_impression_that_its_request_id_names_and_no_other():
    impressions = shown(("r1", "u", 0, "abc"), ("r2", "u", 0.1, "abd"))
    assert answered(shown_of(impressions, chosen(("u", "a", 0.2), request_id="r2"))) == {("Abd", "d")}
    # Long after, and as somebody else: the id is enough.
    assert answered(shown_of(impressions, chosen(("w", "a", 30), request_id="r1"))) == {("Abc", "d")}


def test_without_a_request_id_it_answers_every_impression_of_the_user_that_showed_the_item_within_a_day_before():
    impressions = shown(("r1", "u", 0, "abc"), ("r2", "u", 0.5, "abd"), ("r3", "v", 0.5, "abe"), ("r4", "u", 0.6, "bc"))
    assert answered(shown_of(impressions, chosen(("u", "a", 0.9)))) == {("Abc", "d"), ("Abd", "d")}
    assert answered(shown_of(impressions, chosen(("u", "a", 1.2)))) == {("Abd", "d")}
    assert answered(shown_of(impressions, chosen(("u", "a", 1.6)))) == set()
    assert answered(shown_of(impressions, chosen(("u", "a", -0.1)))) == set()


def test_logs_without_request_ids_are_joined_by_time_alone():
    found = shown_of(shown(("r", "u", 0, "abc")), chosen(("u", "a", 0.9)))
    interactions = chosen(("u", "a", 0.9)).drop("request_id")
    log = Log.of(interactions, CATALOGUE, TYPES)
    assert log is not None
    nothing = np.zeros(5, dtype=np.bool_)
    alone = ShownChoices(
        log, shown(("r", "u", 0, "abc")), interactions, CATALOGUE, ["purchase"], without=nothing, history_items=40
    )
    assert {items for items, _ in answered(alone)} == {items for items, _ in answered(found)} == {"Abc"}


def test_an_impression_of_which_nothing_or_everything_was_chosen_is_left_out():
    impressions = shown(("r1", "u", 0, "ab"), ("r2", "v", 0, "ab"), ("r3", "w", 0, "cd"))
    found = shown_of(impressions, chosen(("u", "a", 0.1), ("u", "b", 0.1), ("v", "b", 0.1)))
    assert answered(found) == {("aB", "e")}
    assert len(found) == 1
    assert len(shown_of(impressions)) == 0


def test_only_labels_are_choices():
    assert len(shown_of(shown(("r", "u", 0, "abc")), chosen(("u", "a", 0.1), event_type="view"))) == 0


def test_each_label_has_targets_of_its_own():
    types = {"view": InteractionType(weight=0.2, label=True), "purchase": InteractionType(label=True)}
    found = shown_of(
        shown(("r", "u", 0, "abc")),
        chosen(("u", "a", 0.1), ("u", "b", 0.1), event_type="view"),
        chosen(("u", "b", 0.2)),
        types=types,
        labels=("view", "purchase"),
    )
    drawn = draw(found)
    assert drawn.candidates[0].tolist() == [A, B, C]
    assert drawn.targets[:, 0].tolist() == [[1, 1, 0], [0, 1, 0]]


def test_a_past_is_what_the_user_had_chosen_before_the_impression():
    found = shown_of(shown(("r", "u", 0, "abc")), chosen(("u", "c", 0), ("u", "b", 0.1)))
    drawn = draw(found)
    assert drawn.pasts.items[0].tolist() == [D]
    assert drawn.pasts.age_days[0].tolist() == [1]
    stranger = draw(shown_of(shown(("r", "x", 0, "abc")), chosen(("x", "a", 0.1))))
    assert stranger.pasts.present[0].tolist() == [0]


def test_items_that_may_not_be_learned_from_and_unknown_ones_are_not_among_what_was_shown():
    impressions = shown(("r", "u", 0, "ab?c"), ("s", "u", 0, "cd"))
    found = shown_of(impressions, chosen(("u", "a", 0.1), ("u", "c", 0.1)), without="c")
    assert answered(found) == {("Ab", "d")}


def test_an_item_that_was_shown_twice_counts_once():
    assert answered(shown_of(shown(("r", "u", 0, "abab")), chosen(("u", "a", 0.1)))) == {("Ab", "d")}
    assert len(shown_of(shown(("r", "u", 0, "aa")), chosen(("u", "a", 0.1)))) == 0


def test_only_the_top_of_a_long_impression_is_looked_at(monkeypatch):
    monkeypatch.setattr(shown_choices, "MOST_SHOWN", 2)
    found = shown_of(shown(("r", "u", 0, "cabd")), chosen(("u", "a", 0.1), ("u", "d", 0.1)))
    assert answered(found) == {("Ac", "d")}


def test_impressions_of_unlike_length_are_padded_with_what_cannot_be_chosen():
    impressions = shown(("r1", "u", 0, "ab"), ("r2", "v", 0, "abcd"))
    drawn = draw(shown_of(impressions, chosen(("u", "a", 0.1), ("v", "d", 0.1))))
    assert drawn.offset.shape == drawn.candidates.shape == drawn.targets.shape[1:]
    short = drawn.offset[:, 2] < 0
    assert 0 < short.sum() < len(short)
    assert (drawn.offset[short, 2:] == -torch.inf).all()
    assert not drawn.targets[:, short, 2:].any()
    assert (drawn.offset[~short] == 0).all()


@pytest.mark.parametrize("query", ["a lamp", None])
def test_what_was_asked_stands_beside_what_was_shown(query):
    found = shown_of(shown(("r", "u", 0, "abc"), query=query), chosen(("u", "a", 0.1)))
    assert draw(found).queries == [query] * shown_choices.IMPRESSIONS_A_STEP


def test_impressions_logged_without_queries_have_none():
    found = shown_of(shown(("r", "u", 0, "abc")).drop("query"), chosen(("u", "a", 0.1)))
    assert set(draw(found).queries) == {None}
