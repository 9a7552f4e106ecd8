import numpy as np
import polars as pl
import pytest
import torch

from recsys.config import InteractionType
from tests.training.project import TYPES, at, catalogue_of, chosen
from training import next_choices
from training.histories import Log
from training.next_choices import Choices, NextChoices

CATALOGUE = catalogue_of("a", "b", "c", "d", "e")
A, B, C, D, E = range(5)
REPEAT_WEIGHT = 0.25


def next_of(
    *parts: pl.DataFrame, types: dict[str, InteractionType] = TYPES, labels: tuple[str, ...] = ("purchase",)
) -> NextChoices:
    log = Log.of(pl.concat(parts), CATALOGUE, types)
    assert log is not None
    return NextChoices(log, labels, repeat_weight=REPEAT_WEIGHT, history_items=40)


def draw(found: NextChoices, seed: int = 0) -> Choices:
    return found.draw(np.random.default_rng(seed))


def examples(drawn: Choices) -> list[tuple[dict[int, float], dict[int, float], str | None]]:
    """Of each example what it knows, item → age in days, what is to be found, item → worth, and the query."""
    return [
        (
            {
                int(item): float(age)
                for item, age, there in zip(
                    drawn.pasts.items[row], drawn.pasts.age_days[row], drawn.pasts.present[row], strict=True
                )
                if there
            },
            {int(drawn.candidates[place]): float(drawn.targets[0, row, place]) for place in targets.nonzero()[:, 0]},
            drawn.queries[row],
        )
        for row, targets in enumerate(drawn.targets[0])
    ]


def test_a_discovery_weighs_1_and_a_repeat_less():
    found = next_of(chosen(("u", "a", 1), ("u", "b", 2), ("u", "a", 4), ("u", "c", 4)))
    assert len(found) == 2  # the occasions on days 2 and 4
    known = {tuple(past.items()): wanted for past, wanted, _ in examples(draw(found))}
    assert known == {((A, 1.0),): {B: 1}, ((B, 2.0), (A, 3.0)): {A: REPEAT_WEIGHT, C: 1}}


def test_no_example_knows_anything_of_its_own_moment_or_later():
    random = np.random.default_rng(0)
    rows = sorted(((f"u{random.integers(3)}", "abcde"[random.integers(5)], int(random.integers(9))) for _ in range(60)),
                  key=lambda row: row[2])  # fmt: skip
    found = next_of(chosen(*rows))
    for past, wanted, _ in (example for seed in range(5) for example in examples(draw(found, seed))):
        # Some user chose just this on one day, and just that at these ages before it.
        assert any(
            wanted == {CATALOGUE.index[item]: pytest.approx(0.25 if CATALOGUE.index[item] in past else 1)
                       for user, item, when in rows if (user, when) == (who, day)}
            and past == {CATALOGUE.index[item]: day - max(when for user, one, when in rows
                                                          if (user, one) == (who, item) and when < day)
                         for user, item, when in rows if user == who and when < day}
            for who in {user for user, _, _ in rows} for day in range(9)
        ), (past, wanted)  # fmt: skip


def test_an_occasion_without_a_past_is_no_example_unless_something_was_asked():
    assert len(next_of(chosen(("u", "a", 1), ("u", "b", 1), ("v", "c", 2)))) == 0
    found = next_of(chosen(("u", "a", 1)), chosen(("v", "c", 2), query="a lamp"))
    assert len(found) == 1
    assert all(example == ({}, {C: 1}, "a lamp") for example in examples(draw(found)))


def test_an_occasion_without_a_label_is_known_but_not_to_be_found():
    found = next_of(
        chosen(("u", "a", 1)), chosen(("u", "b", 2), ("u", "c", 3), event_type="view"), chosen(("u", "c", 3))
    )
    assert len(found) == 1
    assert all(example == ({B: 1, A: 2}, {C: 1}, None) for example in examples(draw(found)))


def test_each_label_has_targets_of_its_own():
    types = {"click": InteractionType(weight=0.5, label=True), "buy": InteractionType(weight=1, label=True)}
    found = next_of(
        chosen(("u", "a", 1), ("u", "b", 2), event_type="click", types=types),
        chosen(("u", "c", 2), event_type="buy", types=types),
        types=types,
        labels=("click", "buy"),
    )
    drawn = draw(found)
    of_items = drawn.targets[:, 0, torch.searchsorted(drawn.candidates, torch.tensor([B, C]))]
    assert of_items.tolist() == [[1, 0], [0, 1]]


def test_every_positive_is_among_the_candidates_which_are_distinct(monkeypatch):
    monkeypatch.setattr(next_choices, "CANDIDATES_A_STEP", 1)
    found = next_of(chosen(("u", "a", 1), *(("u", item, 2) for item in "bcde")))
    drawn = draw(found)
    assert {B, C, D, E} <= set(drawn.candidates.tolist())
    assert len(set(drawn.candidates.tolist())) == len(drawn.candidates)
    assert drawn.targets.sum(-1).tolist() == [[4.0] * next_choices.EXAMPLES_A_STEP]


def test_an_item_that_nobody_chose_is_no_candidate():
    drawn = draw(next_of(chosen(("u", "a", 1), ("u", "c", 2))))
    assert drawn.candidates.tolist() == [A, C]


def test_the_offset_undoes_that_some_items_are_candidates_more_often(monkeypatch):
    monkeypatch.setattr(next_choices, "CANDIDATES_A_STEP", 3)
    monkeypatch.setattr(next_choices, "EXAMPLES_A_STEP", 1)
    # Of 10 interactions a has 5, b 2 and c, d, e one each; the only example draws e, so there are 4 draws.
    found = next_of(chosen(*[("t", "a", 1)] * 5, *[("v", "b", 1)] * 2, ("u", "c", 1), ("w", "d", 1), ("u", "e", 2)))
    offsets = {}
    for seed in range(30):
        drawn = draw(found, seed)
        offsets |= dict(zip(drawn.candidates.tolist(), drawn.offset.tolist(), strict=True))
    share = {A: 0.5, B: 0.2, C: 0.1, D: 0.1, E: 0.1}
    assert offsets == {item: pytest.approx(-np.log(1 - (1 - p) ** 4)) for item, p in share.items()}


def test_as_often_is_an_item_a_candidate_as_the_offset_takes_it_to_be(monkeypatch):
    monkeypatch.setattr(next_choices, "CANDIDATES_A_STEP", 3)
    share = np.array([0.5, 0.2, 0.1, 0.1, 0.1])
    found = next_of(chosen(*[("t", "a", 1)] * 5, *[("v", "b", 1)] * 2, ("u", "c", 1), ("w", "d", 1), ("u", "e", 2)))
    random = np.random.default_rng(0)
    times, likely = np.zeros(5), np.zeros(5)
    for _ in range(4000):
        # One positive, drawn as positives are on the whole: by its share of the interactions.
        candidates, included = found._candidates(random.choice(5, size=1, p=share), random)
        times[candidates] += 1
        likely[candidates] = included
    np.testing.assert_allclose(times / 4000, likely, atol=0.03)


def test_users_are_drawn_evenly_however_much_they_chose():
    rows = [("robot", "abcd"[day % 4], day) for day in range(200)] + [("u", "a", 1), ("u", "e", 2)]
    found = next_of(chosen(*sorted(rows, key=lambda row: row[2])))
    wanted = [wanted for seed in range(20) for _, wanted, _ in examples(draw(found, seed))]
    assert 0.4 < np.mean([E in one for one in wanted]) < 0.6


def test_the_same_numbers_draw_the_same_examples():
    found = next_of(chosen(*(("u", "abcde"[day % 5], day) for day in range(30))))
    one, again, other = draw(found, 1), draw(found, 1), draw(found, 2)
    assert torch.equal(one.targets, again.targets)
    assert torch.equal(one.pasts.items, again.pasts.items)
    assert not torch.equal(one.pasts.age_days, other.pasts.age_days)


def test_seen_until_is_that_of_the_log():
    assert next_of(chosen(("u", "a", 1), ("u", "b", 7))).seen_until == at(7)
