from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from msgspec.structs import replace
from torch import nn

from recsys.config import Config, Finetune, Text
from recsys.split import cold_items
from tests.training.project import at, catalogue_of, chosen, config_of, shop_tables
from training import finetune as module
from training import validation
from training.encoder import TextEncoder
from training.examples import chosen_together
from training.finetune import (
    EVER,
    PATIENCE,
    STEPS_A_MEASUREMENT,
    TEMPERATURE,
    Finetuned,
    Finetuner,
    contrast,
    drift,
    finetune,
    held_out_items,
    relative_gain,
)
from training.prepared import PreparedTexts
from training.validation import TextValidation, text_validation

INTERACTIONS, CATALOGUE = shop_tables()
TITLES = CATALOGUE.table["title"].to_list()
COLD = cold_items(CATALOGUE.item_ids)
WINDOWS, CUT = [at(77), at(91)], at(105)
MOMENTS = [*WINDOWS, CUT]
# The last validation begins 14 days before the cut: without the cut it would reach beyond it.
CONFIG = config_of(validation_days=21, max_steps=10, batch_items=30, learning_rate=1e-2)


def replaced(**finetune: int) -> Config:
    return replace(CONFIG, finetune=replace(CONFIG.finetune, **finetune))


def tuned(
    tiny_encoder: Path, interactions: pl.DataFrame = INTERACTIONS, config: Config = CONFIG
) -> tuple[Finetuned, TextEncoder]:
    encoder = TextEncoder(tiny_encoder, Text(max_tokens=16), config.finetune)
    found = finetune(encoder, interactions, CATALOGUE, config, cut=CUT, windows=WINDOWS, hidden=COLD)
    return found, encoder


def all_vectors(found: Finetuned) -> np.ndarray:
    return np.stack([found.folds[moment].vectors for moment in MOMENTS])


def with_other_items(interactions: pl.DataFrame, rows: pl.Expr, among: list[str], seed: int = 1) -> pl.DataFrame:
    """The interactions with another item in these rows, drawn from those given."""
    drawn = pl.Series(np.random.default_rng(seed).choice(among, len(interactions)))
    return interactions.with_columns(item_id=pl.when(rows).then(drawn).otherwise("item_id"))


@pytest.fixture(scope="module")
def usual(tiny_encoder: Path) -> Finetuned:
    return tuned(tiny_encoder)[0]


class Scripted:
    """A validation that says what a test wants, one value a measurement, and keeps the vectors that it was shown."""

    def __init__(self, *unseen: float) -> None:
        self.unseen = iter(unseen)
        self.shown: list[torch.Tensor] = []

    def measure(self, vectors: torch.Tensor) -> dict[str, float]:
        self.shown.append(vectors.clone())
        return {"unseen": next(self.unseen), "held_out": 0.0}


def unheeded(steps: int = 1, *, note: str = "") -> None: ...


def test_learning_changes_the_vectors_from_window_to_window(usual):
    vectors = np.stack([usual.pretrained, *all_vectors(usual)])
    assert [point["step"] for point in usual.curve] == [0, 10]
    assert all(np.abs(later - earlier).max() > 1e-3 for earlier, later in pairwise(vectors))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, rtol=1e-5)


def test_the_same_seed_gives_the_same_vectors_and_another_one_others(usual, tiny_encoder):
    again, _ = tuned(tiny_encoder)
    np.testing.assert_array_equal(all_vectors(again), all_vectors(usual))
    assert again.curve == usual.curve
    other, _ = tuned(tiny_encoder, config=replaced(seed=1))
    assert np.abs(all_vectors(other) - all_vectors(usual)).max() > 1e-3


def test_nothing_at_or_after_the_cut_is_learned_from(usual, tiny_encoder):
    after = pl.col("timestamp") >= CUT
    for changed in (with_other_items(INTERACTIONS, after, CATALOGUE.item_ids), INTERACTIONS.filter(~after)):
        found, _ = tuned(tiny_encoder, changed)
        np.testing.assert_array_equal(all_vectors(found), all_vectors(usual))
        assert (found.curve, found.validation) == (usual.curve, usual.validation)


def test_what_happens_just_before_the_cut_is_learned_from(usual, tiny_encoder):
    before = pl.col("timestamp").is_between(WINDOWS[-1], CUT, closed="left")
    found, _ = tuned(tiny_encoder, with_other_items(INTERACTIONS, before, CATALOGUE.item_ids))
    np.testing.assert_array_equal(all_vectors(found)[:2], all_vectors(usual)[:2])
    assert np.abs(all_vectors(found)[2] - all_vectors(usual)[2]).max() > 1e-3


@pytest.mark.parametrize("window", WINDOWS)
def test_the_vectors_that_score_a_window_learned_nothing_from_it(usual, tiny_encoder, window):
    found, _ = tuned(tiny_encoder, with_other_items(INTERACTIONS, pl.col("timestamp") >= window, CATALOGUE.item_ids))
    np.testing.assert_array_equal(found.folds[window].vectors, usual.folds[window].vectors)


def test_no_interaction_with_a_hidden_item_is_learned_from_nor_decides_on_whom_to_measure(tiny_encoder, monkeypatch):
    # Fewer than there are, so that a sample is drawn.
    monkeypatch.setattr(validation, "MAX_USERS", 20)
    usual, _ = tuned(tiny_encoder)
    hidden_ids = [item for item, is_cold in zip(CATALOGUE.item_ids, COLD, strict=True) if is_cold]
    is_hidden = pl.col("item_id").is_in(hidden_ids)
    days = [day + 0.5 for day in range(105)]
    robots = chosen(*((f"robot-{day % 7}", item, day) for item in hidden_ids for day in days))
    for changed in (
        with_other_items(INTERACTIONS, is_hidden, hidden_ids),
        INTERACTIONS.filter(~is_hidden),
        pl.concat([INTERACTIONS, robots], how="diagonal"),
    ):
        found, _ = tuned(tiny_encoder, changed)
        np.testing.assert_array_equal(all_vectors(found), all_vectors(usual))
        assert (found.curve, found.validation) == (usual.curve, usual.validation)


def test_each_fold_knows_the_latest_interaction_that_it_was_learned_from(usual):
    learned = INTERACTIONS.filter(~pl.col("item_id").is_in(np.array(CATALOGUE.item_ids)[COLD].tolist()))["timestamp"]
    for moment in MOMENTS:
        assert usual.folds[moment].seen_until == learned.filter(learned < moment).max() < moment


@pytest.mark.parametrize("leaking", [WINDOWS[0] - timedelta(days=CONFIG.split.validation_days), WINDOWS[0]])
def test_seen_until_tells_when_an_earlier_part_of_the_walk_saw_too_much(tiny_encoder, monkeypatch, leaking):
    honest = module.split_by_time

    def leaky(interactions: pl.DataFrame, moment: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
        return honest(interactions, CUT if moment == leaking else moment)

    monkeypatch.setattr(module, "split_by_time", leaky)
    found, _ = tuned(tiny_encoder)
    assert found.folds[WINDOWS[0]].seen_until > WINDOWS[-1]
    assert found.folds[WINDOWS[1]].seen_until > WINDOWS[-1]


def test_a_model_that_saw_a_window_ranks_it_far_better_than_one_that_did_not(tiny_encoder, monkeypatch):
    """Why folds matter: what goes together in the window is drawn at random, so nothing but the window explains it."""
    random = np.random.default_rng(0)
    words = [
        f"{colour} {thing}" for colour in ("red", "old", "tiny", "wet") for thing in ["sun", "car", "pen", "cat", "oak"]
    ]
    catalogue = catalogue_of(*(f"{item:02}" for item in range(len(words))), titles=words)
    partner = random.permutation(len(words))
    rows = []
    for user in range(100):
        past = random.choice(len(words), 2, replace=False)
        rows += [(f"user-{user}", f"{item:02}", random.uniform(0, 20)) for item in past]
        rows.append((f"user-{user}", f"{partner[past[0]]:02}", random.uniform(41, 44)))
    interactions = chosen(*rows)
    nothing = np.zeros(len(words), dtype=np.bool_)
    monkeypatch.setattr(module, "STEPS_A_WINDOW", 60)
    found = finetune(
        TextEncoder(tiny_encoder, Text(max_tokens=16), Finetune(trained_layers=2)),
        interactions,
        catalogue,
        config_of(max_steps=1, learning_rate=1e-2),
        cut=at(50),
        windows=[at(40)],
        hidden=nothing,
    )
    window = text_validation(
        interactions, catalogue, at(40), days=10, history_items=40, held_out=nothing, hidden=nothing
    )
    out_of_fold, memorised = (
        window.measure(torch.from_numpy(found.folds[moment].vectors))["unseen"] for moment in (at(40), at(50))
    )
    assert memorised > 0.6
    assert out_of_fold < 0.4


@pytest.mark.parametrize("too_little", ["no steps", "few interactions", "nobody chose two items"])
def test_with_nothing_to_learn_from_the_pretrained_vectors_stay(tiny_encoder, too_little):
    interactions, config = INTERACTIONS, CONFIG
    if too_little == "no steps":
        config = replaced(max_steps=0)
    elif too_little == "few interactions":
        # 99 before the validation that precedes the first window, one fewer than needed.
        before = pl.col("timestamp") < WINDOWS[0] - timedelta(days=CONFIG.split.validation_days)
        is_open = ~pl.col("item_id").is_in(np.array(CATALOGUE.item_ids)[COLD].tolist())
        interactions = pl.concat([INTERACTIONS.filter(before, is_open).head(99), INTERACTIONS.filter(~before)])
    else:
        ids = pl.int_range(pl.len()).cast(pl.String)
        interactions = INTERACTIONS.with_columns(user_id=ids)
    found, encoder = tuned(tiny_encoder, interactions, config)
    assert found.uses_pretrained
    assert (found.curve, found.folds) == ([], {})
    for moment in MOMENTS:
        assert found.fold(moment).seen_until == EVER
        np.testing.assert_array_equal(found.fold(moment).vectors, found.pretrained)
    left = PreparedTexts(encoder, TITLES).encode_all().numpy()
    np.testing.assert_array_equal(left, found.pretrained)


def test_when_learning_made_it_worse_vectors_and_encoder_are_the_pretrained_ones(tiny_encoder, monkeypatch):
    # The first validation is asked of the pretrained vectors and after 10 steps, the last one of both.
    values = iter([0.1, 0.2, 0.3, 0.2])
    monkeypatch.setattr(TextValidation, "measure", lambda *_: {"unseen": next(values), "held_out": 0.0})
    found, encoder = tuned(tiny_encoder)
    assert found.validation == {"pretrained": 0.3, "finetuned": 0.2}
    assert found.uses_pretrained
    np.testing.assert_array_equal(found.fold(CUT).vectors, found.pretrained)
    left = PreparedTexts(encoder, TITLES).encode_all().numpy()
    np.testing.assert_array_equal(left, found.pretrained)
    assert np.abs(found.folds[CUT].vectors - found.pretrained).max() > 1e-3


def test_the_encoder_is_left_as_the_model_of_the_cut(tiny_encoder, monkeypatch):
    monkeypatch.setattr(Finetuned, "uses_pretrained", False)
    found, encoder = tuned(tiny_encoder)
    left = PreparedTexts(encoder, TITLES).encode_all().numpy()
    np.testing.assert_allclose(left, found.fold(CUT).vectors, atol=1e-6)


def started(tiny_encoder: Path, config: Config) -> tuple[Finetuner, module.ChosenTogether]:
    encoder = TextEncoder(tiny_encoder, Text(max_tokens=16), Finetune(trained_layers=1))
    together = chosen_together(INTERACTIONS, CATALOGUE, held_out=COLD)
    return Finetuner(encoder, TITLES, config), together


def test_training_stops_when_two_measurements_bring_nothing_new_and_keeps_the_best_weights(tiny_encoder):
    tuner, together = started(tiny_encoder, config_of(max_steps=100, batch_items=20))
    scripted = Scripted(0.10, 0.12, 0.15, 0.14, 0.15, 0.99)
    curve = tuner.fit(together, scripted, unheeded)
    assert PATIENCE == 2
    assert [point["step"] for point in curve] == [step * STEPS_A_MEASUREMENT for step in range(5)]
    torch.testing.assert_close(tuner.prepared.encode_all(), scripted.shown[2], rtol=0, atol=0)


def test_when_no_measurement_beats_the_pretrained_model_its_weights_are_kept(tiny_encoder):
    tuner, together = started(tiny_encoder, config_of(max_steps=100, batch_items=20))
    tuner.fit(together, Scripted(0.2, 0.1, 0.2), unheeded)
    torch.testing.assert_close(tuner.prepared.encode_all(), tuner.pretrained, rtol=0, atol=0)


def test_the_last_step_is_measured_even_when_it_is_no_tenth_one(tiny_encoder):
    tuner, together = started(tiny_encoder, config_of(max_steps=13, batch_items=20))
    curve = tuner.fit(together, Scripted(0.1, 0.2, 0.3), unheeded)
    assert [point["step"] for point in curve] == [0, 10, 13]


@pytest.mark.parametrize(("batch_items", "expected"), [(20, 20), (500, 54)])
def test_each_step_encodes_every_item_of_its_batch_once(tiny_encoder, monkeypatch, batch_items, expected):
    tuner, together = started(tiny_encoder, config_of(max_steps=10, batch_items=batch_items))
    encoded: list[list[int]] = []
    encode = PreparedTexts.encode

    def counted(self: PreparedTexts, items: list[int]) -> torch.Tensor:
        encoded.append(items)
        return encode(self, items)

    monkeypatch.setattr(PreparedTexts, "encode", counted)
    for _ in range(3):
        tuner.step(together, 1e-3)
    assert [len(items) for items in encoded] == [expected] * 3
    assert all(len(set(items)) == len(items) for items in encoded)
    assert set().union(*encoded) <= set(together.items.tolist())


def test_contrast_equals_a_literal_loop():
    random = np.random.default_rng(0)
    vectors = nn.functional.normalize(torch.from_numpy(random.normal(size=(5, 3))), dim=1)
    strength = random.random((5, 5)) * (random.random((5, 5)) < 0.6)
    np.fill_diagonal(strength, 0)
    strength[3] = 0
    losses = []
    for row in (0, 1, 2, 4):
        others = [item for item in range(5) if item != row]
        near = {item: TEMPERATURE * float(vectors[row] @ vectors[item]) for item in others}
        log_sum = np.log(sum(np.exp(near[item]) for item in others))
        losses.append(sum(strength[row, item] / strength[row].sum() * (log_sum - near[item]) for item in others))
    found = contrast(vectors, torch.from_numpy(strength))
    assert found.item() == pytest.approx(np.mean(losses))


def test_contrast_is_least_where_what_goes_together_lies_together():
    pairs = torch.tensor([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])
    x, y = [1.0, 0.0], [0.0, 1.0]
    assert contrast(torch.tensor([x, x, y, y]), pairs) < contrast(torch.tensor([x, y, x, y]), pairs)


def test_a_batch_in_which_nothing_goes_together_teaches_nothing():
    vectors = nn.functional.normalize(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    vectors.requires_grad_()
    loss = contrast(vectors, torch.zeros(4, 4))
    loss.backward()
    assert loss.item() == 0
    assert vectors.grad is not None
    assert not vectors.grad.any()


def test_drift_is_the_mean_of_one_minus_cosine():
    pretrained = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert drift(pretrained, pretrained).item() == 0
    assert drift(torch.tensor([[0.0, 1.0], [0.6, 0.8]]), pretrained).item() == pytest.approx((1 + 0.4) / 2)


def test_relative_gain_is_the_geometric_mean_over_the_kinds_of_case_that_there_are():
    assert relative_gain({"unseen": 0.4, "held_out": 0.1}, {"unseen": 0.1, "held_out": 0.1}) == pytest.approx(2)
    assert relative_gain({"unseen": 0.3, "held_out": 0.1}, {"unseen": 0.1, "held_out": 0.0}) == pytest.approx(3)
    assert relative_gain({"unseen": 0.3, "held_out": 0.1}, {"unseen": 0.0, "held_out": 0.0}) == 1


def test_one_in_ten_of_the_items_that_are_not_hidden_is_held_out():
    hidden = np.arange(100) < 50
    held_out = held_out_items(100, hidden, 0)
    assert held_out.sum() == 5
    assert not (held_out & hidden).any()
    assert (held_out != held_out_items(100, hidden, 1)).any()
