from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from recsys.catalogue import Catalogue
from recsys.config import Text
from recsys.errors import DataError
from tests.training.project import at, catalogue_of, chosen, config_of, shop_tables, shown
from training import learner as module
from training.checkpoint import load_checkpoint, part, save_checkpoint
from training.encoder import TextEncoder
from training.examples import chosen_together
from training.histories import Log
from training.learner import Learner
from training.lessons import Lesson
from training.next_choices import NextChoices
from training.prepared import PreparedTexts
from training.shown_choices import ShownChoices
from training.user_tower import UserTower

INTERACTIONS, SHOP = shop_tables()
LETTERS = catalogue_of("a", "b", "c", "d", "e", "f", titles=["sun", "car", "pen", "cat", "oak", "tea"])
A, B, C, D, E, F = range(6)

Make = Callable[..., Learner]


@pytest.fixture
def make(tiny_encoder: Path) -> Make:
    """A learner of a catalogue, by default that of the letters."""

    def made(catalogue: Catalogue = LETTERS, **finetune: Any) -> Learner:
        config = config_of(**{"batch_items": 10, "learning_rate": 1e-2} | finetune)
        encoder = TextEncoder(tiny_encoder, Text(max_tokens=16), config.finetune)
        titles = catalogue.table["title"].to_list()
        return Learner(encoder, UserTower.configured(config), titles, catalogue.item_ids, config.finetune)

    return made


def lesson_of(
    interactions: pl.DataFrame, catalogue: Catalogue = LETTERS, impressions: pl.DataFrame | None = None
) -> Lesson:
    """All that there is to learn from them."""
    types = config_of().interaction_types
    log = Log.of(interactions, catalogue, types)
    assert log is not None
    nothing = np.zeros(len(catalogue), dtype=np.bool_)
    together = chosen_together(interactions, catalogue, held_out=nothing)
    following = NextChoices(log, ["purchase"], repeat_weight=0.1, history_items=40)
    choices = None
    if impressions is not None:
        choices = ShownChoices(
            log, impressions, interactions, catalogue, ["purchase"], without=nothing, history_items=40
        )
    return Lesson(together if len(together.items) else None, following if len(following) else None, choices, at(0))


def everything(learner: Learner) -> dict[str, Tensor]:
    return learner.weights() | {"memory": learner.state()[0]["memory"].clone()}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name, tensor in one.items() if not torch.equal(tensor, other[name])] == []


def changed(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    """Of which parts some weight is another one."""
    return {name.split(".")[0] for name, tensor in one.items() if not torch.equal(tensor, other[name])}


PAIRS = [
    (f"u{at}", item, day) for at, items in enumerate(("abab", "cdcd", "efef", "abab")) for day, item in enumerate(items)
]
BY_PAIRS = lesson_of(chosen(*PAIRS))


def with_pairs(*answers: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([chosen(*PAIRS), *answers])


def test_encoder_and_user_tower_learn(make):
    learner = make()
    before = learner.weights()
    first = learner.step(BY_PAIRS, 1.0)
    assert changed(before, learner.weights()) == {"encoder", "tower"}
    for _ in range(15):
        last = learner.step(BY_PAIRS, 1.0)
    assert last < first
    vectors = learner.vectors()
    assert vectors[A] @ vectors[B] > vectors[A] @ vectors[D] + 0.05


def test_no_share_of_the_learning_rate_changes_nothing(make):
    learner = make()
    before = learner.weights()
    learner.step(BY_PAIRS, 0.0)
    assert changed(before, learner.weights()) == set()


def test_a_loss_that_is_no_number_stops_with_the_items_of_the_batch(make, monkeypatch):
    learner = make(batch_items=3)
    monkeypatch.setattr(module, "contrast", lambda *_: torch.tensor(torch.nan))
    with pytest.raises(DataError, match=r"the loss became nan on the items \['.', '.', '.'\]; look at their texts, or"):
        learner.step(BY_PAIRS, 1.0)


def test_of_many_items_the_error_names_some(make, monkeypatch):
    learner = make(SHOP, batch_items=50)
    monkeypatch.setattr(module, "contrast", lambda *_: torch.tensor(torch.inf))
    with pytest.raises(DataError, match=rf"inf on the items .*\] and {50 - module.IDS_IN_MESSAGE} more; look"):
        learner.step(lesson_of(INTERACTIONS, SHOP), 1.0)


@pytest.mark.parametrize(
    "finetune",
    [{"dropout": 0.0}, {"dropout": 0.3}, {"dropout": 0.3, "method": "lora"}, {"dropout": 0.3, "method": "head"}],
    ids=["no dropout", "dropout", "lora", "head"],
)
def test_what_was_saved_and_taken_up_again_learns_on_as_if_nothing_had_happened(make, tmp_path, finetune):
    lesson = lesson_of(INTERACTIONS, SHOP)
    whole = make(SHOP, **finetune)
    losses = [whole.step(lesson, 1.0) for _ in range(5)]
    first = make(SHOP, **finetune)
    assert [first.step(lesson, 1.0) for _ in range(2)] == losses[:2]
    save_checkpoint(tmp_path / "c.safetensors", *first.state())
    # As in another process: other random numbers were drawn since.
    torch.rand(7)
    again = make(SHOP, **finetune)
    again.load_state(*load_checkpoint(tmp_path / "c.safetensors"))
    assert [again.step(lesson, 1.0) for _ in range(3)] == losses[2:]
    assert_same(everything(again), everything(whole))


def test_taken_up_before_the_first_step_it_starts_the_same(make):
    lesson = lesson_of(INTERACTIONS, SHOP)
    one, again = make(SHOP), make(SHOP)
    again.load_state(*make(SHOP).state())
    assert again.step(lesson, 1.0) == one.step(lesson, 1.0)


def test_another_seed_learns_something_else(make):
    lesson = lesson_of(INTERACTIONS, SHOP)
    one, other = make(SHOP), make(SHOP, seed=1)
    assert one.step(lesson, 1.0) != other.step(lesson, 1.0)


@pytest.mark.parametrize(("batch_items", "expected"), [(20, 20), (500, 60)])
def test_each_distinct_item_is_encoded_once_a_step(make, monkeypatch, batch_items, expected):
    lesson = replace(lesson_of(INTERACTIONS, SHOP), next=None)
    learner = make(SHOP, batch_items=batch_items)
    encoded: list[int] = []
    finish = TextEncoder.finish

    def counted(self: TextEncoder, prepared: Tensor, mask: Tensor) -> Tensor:
        encoded.append(len(prepared))
        return finish(self, prepared, mask)

    monkeypatch.setattr(TextEncoder, "finish", counted)
    for _ in range(3):
        learner.step(lesson, 1.0)
    assert sum(encoded) == 3 * expected


def test_items_of_several_sources_are_encoded_together_and_once(make, monkeypatch):
    """Those of the batch, those that were shown and those that were chosen after asking, which overlap."""
    impressions = shown(("r", "u0", 3, "abcdef"))
    answers = [chosen(("u0", "c", 3.1)), chosen(("u1", "f", 5), query="a word")]
    lesson = lesson_of(with_pairs(*answers), impressions=impressions)
    learner = make()
    asked: list[list[int]] = []
    encode = PreparedTexts.encode

    def counted(self: PreparedTexts, items: Tensor) -> Tensor:
        if self is learner.prepared:
            asked.append(items.tolist())
        return encode(self, items)

    monkeypatch.setattr(PreparedTexts, "encode", counted)
    learner.step(lesson, 1.0)
    assert asked == [[A, B, C, D, E, F]]


def test_accumulated_batches_make_one_step_with_their_mean_gradient(make, monkeypatch):
    monkeypatch.setattr(module, "MAX_GRADIENT_NORM", 1e9)
    learner = make(accumulated_batches=2)
    weight = learner.tower.age_power
    slopes = iter([1.0, 4.0])
    monkeypatch.setattr(learner, "_loss", lambda lesson: ((next(slopes) * (weight + 2)).sum(), torch.tensor([0])))
    assert learner.step(BY_PAIRS, 1.0) == pytest.approx((2.5 + 10) / 2)
    assert weight.grad.tolist() == [2.5]


def test_accumulated_batches_are_drawn_one_after_the_other(make):
    lesson = lesson_of(INTERACTIONS, SHOP)
    learner, other = make(SHOP, accumulated_batches=2), make(SHOP)
    losses = [other._loss(lesson)[0].item() for _ in range(2)]
    assert learner.step(lesson, 1.0) == pytest.approx(np.mean(losses))


def test_long_gradients_are_cut_for_encoder_and_tower_apart(make, monkeypatch):
    learner = make()
    weight = learner.tower.age_power
    monkeypatch.setattr(learner, "_loss", lambda lesson: (1000 * weight.sum(), torch.tensor([0])))
    learner.step(BY_PAIRS, 1.0)
    assert weight.grad.item() == pytest.approx(module.MAX_GRADIENT_NORM)


def test_what_users_did_next_teaches_the_tower_alone_unless_the_encoder_is_to_learn_from_it(make):
    without, tower_only, both = make(), make(next_choices=0.0), make(next_choices=1.0)
    without.step(replace(BY_PAIRS, next=None), 1.0)
    for learner in (tower_only, both):
        learner.step(BY_PAIRS, 1.0)
    assert changed(without.weights(), tower_only.weights()) == {"tower"}
    assert changed(without.weights(), both.weights()) == {"tower", "encoder"}


def test_what_was_refused_when_shown_teaches_the_encoder_as_much_as_it_is_told_to(make):
    impressions = shown(("r1", "u0", 3, "abcd"), ("r2", "u1", 3, "ef"))
    lesson = lesson_of(with_pairs(chosen(("u0", "c", 3.1), ("u1", "f", 3.1))), impressions=impressions)
    found = {}
    for share in (0.0, 1.0):
        learner = make(shown_choices=share)
        losses = [learner.step(replace(lesson, next=None), 1.0) for _ in range(3)]
        assert np.isfinite(losses).all()  # although the impressions are of unlike length
        found[share] = learner.weights()
    assert changed(found[0.0], found[1.0]) == {"tower", "encoder"}


def test_what_users_ask_for_teaches_the_encoder_to_read_it(make):
    # Two made-up words, each asked for before an item that has nothing to do with it; nobody has a history.
    rows = [chosen((f"u{user}", "ad"[user % 2], 1), query=("blorp", "quux")[user % 2]) for user in range(6)]
    lesson = lesson_of(pl.concat([*rows, chosen(("v", "b", 1), ("w", "c", 1), ("x", "e", 1))]))
    assert lesson.together is None
    learner = make(next_choices=0.0, anchor=0.0)

    def places() -> list[int]:
        learner.encoder.eval()
        with torch.no_grad():
            cosine = learner.encode_queries(["blorp", "quux"]) @ learner.vectors().T
        return [int((row > row[item]).sum()) for row, item in zip(cosine, (A, D), strict=True)]

    before = places()
    losses = [learner.step(lesson, 1.0) for _ in range(25)]
    assert losses[-1] < 0.7 * losses[0]
    assert before != [0, 0]
    assert places() == [0, 0]


def test_where_no_two_items_share_a_user_and_nobody_asked_it_learns_from_what_was_chosen_next(make):
    rows = [(f"u{user}", item, day) for user, item in enumerate("abc") for day in range(3)]
    lesson = lesson_of(chosen(*rows))
    assert lesson.together is None
    learner = make()
    assert np.isfinite([learner.step(lesson, 1.0) for _ in range(3)]).all()


def test_items_outside_the_batch_are_remembered_as_they_were_encoded_last(make):
    learner = make(batch_items=2)
    lesson = replace(BY_PAIRS, next=None)
    learner.step(lesson, 1.0)
    before = learner.pretrained.cpu()  # a step remembers the vectors that it began with
    torch.testing.assert_close(learner.state()[0]["memory"], before, atol=1e-5, rtol=0)
    learner.step(lesson, 1.0)
    moved = (learner.state()[0]["memory"] - before).abs().amax(1) > 1e-4
    assert moved.sum() == 2
    found = learner.vectors().cpu()
    assert ((found - before).abs().amax(1) > 1e-4).all()
    assert torch.equal(learner.state()[0]["memory"], found)
    kept = found.clone()
    learner.step(lesson, 1.0)
    learner.step(lesson, 1.0)
    assert torch.equal(found, kept)  # what was given away is nobody else's


def test_the_anchor_holds_the_vectors_near_the_pretrained_ones(make):
    drifts = []
    for anchor in (0.0, 100.0):
        learner = make(anchor=anchor)
        for _ in range(10):
            learner.step(BY_PAIRS, 1.0)
        drifts.append(module.drift(learner.vectors(), learner.pretrained).item())
    assert drifts[1] < 0.5 * drifts[0]


def test_weights_that_are_loaded_again_bring_back_the_vectors(make):
    learner = make()
    before = learner.weights()
    learner.step(BY_PAIRS, 1.0)
    assert not torch.equal(learner.vectors(), learner.pretrained)
    learner.load_weights(before)
    assert torch.equal(learner.vectors(), learner.pretrained)
    assert_same(part(learner.weights(), "tower"), part(before, "tower"))
