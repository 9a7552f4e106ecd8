import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
import torch
from msgspec.structs import replace

from recsys.catalogue import Catalogue
from recsys.config import Config, Text
from recsys.split import cold_items
from tests.training.project import at, catalogue_of, chosen, config_of, shop_tables
from training import finetune as module
from training import validation
from training import walk as walk_module
from training.encoder import TextEncoder
from training.finetune import Finetuned, finetune, held_out_items
from training.learner import Learner
from training.lessons import MIN_INTERACTIONS, Lesson, Tables, lesson
from training.prepared import PreparedTexts
from training.texts_in_time import EVER
from training.user_tower import FIRST_POWER, UserTower
from training.validation import TextValidation, text_validation
from training.walk import (
    CHECKPOINT_FILE,
    PATIENCE,
    STEPS_A_MEASUREMENT,
    STEPS_A_WINDOW,
    Fold,
    Walk,
    forget_walk,
    relative_gain,
    unwatched,
)

INTERACTIONS, CATALOGUE = shop_tables()
TITLES = CATALOGUE.table["title"].to_list()
COLD = cold_items(CATALOGUE.item_ids)
COLD_IDS = [CATALOGUE.item_ids[item] for item in np.flatnonzero(COLD)]
WINDOWS, CUT = [at(77), at(91)], at(105)
MOMENTS = [*WINDOWS, CUT]
DAYS = 21
# The last validation begins 14 days before the cut: without the cut it would reach beyond it.
CONFIG = config_of(validation_days=DAYS, max_steps=STEPS_A_MEASUREMENT, batch_items=30, learning_rate=1e-2)
NOTHING = np.zeros(len(CATALOGUE), dtype=np.bool_)


def replaced(**finetune: float) -> Config:
    return replace(CONFIG, finetune=replace(CONFIG.finetune, **finetune))


def tuned(
    tiny_encoder: Path,
    interactions: pl.DataFrame = INTERACTIONS,
    config: Config = CONFIG,
    *,
    catalogue: Catalogue = CATALOGUE,
    impressions: pl.DataFrame | None = None,
    folder: Path | None = None,
    measured: walk_module.Measured = unwatched,
    trial: str | None = None,
) -> tuple[Finetuned, TextEncoder]:
    """A walk of the shop, by default in a folder that goes with it."""
    encoder = TextEncoder(tiny_encoder, Text(max_tokens=16), config.finetune)
    with TemporaryDirectory() as temporary:
        found = finetune(
            encoder,
            Tables(interactions, impressions),
            catalogue,
            config,
            cut=CUT,
            windows=WINDOWS,
            hidden=COLD,
            folder=folder or Path(temporary),
            measured=measured,
            trial=trial,
        )
    return found, encoder


def all_vectors(found: Finetuned) -> np.ndarray:
    return np.stack([found.folds[moment].vectors for moment in MOMENTS])


def assert_same_fold(found: Fold, expected: Fold) -> None:
    np.testing.assert_array_equal(found.vectors, expected.vectors)
    assert found.tower.keys() == expected.tower.keys()
    assert all(torch.equal(weight, expected.tower[name]) for name, weight in found.tower.items())


def assert_same_walk(found: Finetuned, expected: Finetuned) -> None:
    assert found.folds.keys() == expected.folds.keys()
    for moment, fold in found.folds.items():
        assert_same_fold(fold, expected.folds[moment])
        assert fold.seen_until == expected.folds[moment].seen_until
    assert (found.curve, found.validation) == (expected.curve, expected.validation)


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

    def measure(self, vectors: torch.Tensor, *_: object) -> dict[str, float]:
        self.shown.append(vectors.clone())
        return {"unseen": next(self.unseen), "held_out": 0.0}


def unheeded(steps: int = 1, *, note: str = "") -> None: ...


def test_learning_changes_the_vectors_from_window_to_window(usual):
    vectors = np.stack([usual.pretrained.vectors, *all_vectors(usual)])
    assert [point["step"] for point in usual.curve] == [0, STEPS_A_MEASUREMENT]
    assert all(np.abs(later - earlier).max() > 1e-3 for earlier, later in pairwise(vectors))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, rtol=1e-5)


def test_the_user_tower_learns_from_window_to_window(usual):
    towers = [usual.pretrained.tower, *(usual.folds[moment].tower for moment in MOMENTS)]
    assert towers[0]["age_power"].tolist() == [FIRST_POWER]
    assert all(not torch.equal(later["age_power"], earlier["age_power"]) for earlier, later in pairwise(towers))


def test_the_same_seed_gives_the_same_model_and_another_one_another(usual, tiny_encoder):
    assert_same_walk(tuned(tiny_encoder)[0], usual)
    other, _ = tuned(tiny_encoder, config=replaced(seed=1))
    assert np.abs(all_vectors(other) - all_vectors(usual)).max() > 1e-3


# Out of fold


def test_nothing_at_or_after_the_cut_is_learned_from(usual, tiny_encoder):
    after = pl.col("timestamp") >= CUT
    for changed in (with_other_items(INTERACTIONS, after, CATALOGUE.item_ids), INTERACTIONS.filter(~after)):
        assert_same_walk(tuned(tiny_encoder, changed)[0], usual)


def test_what_happens_just_before_the_cut_is_learned_from(usual, tiny_encoder):
    before = pl.col("timestamp").is_between(WINDOWS[-1], CUT, closed="left")
    found, _ = tuned(tiny_encoder, with_other_items(INTERACTIONS, before, CATALOGUE.item_ids))
    np.testing.assert_array_equal(all_vectors(found)[:2], all_vectors(usual)[:2])
    assert np.abs(all_vectors(found)[2] - all_vectors(usual)[2]).max() > 1e-3


@pytest.mark.parametrize("window", WINDOWS)
def test_the_fold_that_scores_a_window_learned_nothing_from_it(usual, tiny_encoder, window):
    found, _ = tuned(tiny_encoder, with_other_items(INTERACTIONS, pl.col("timestamp") >= window, CATALOGUE.item_ids))
    assert_same_fold(found.folds[window], usual.folds[window])


def logged_impressions() -> pl.DataFrame:
    """An hour before each purchase the item among five others."""
    bought = INTERACTIONS.filter(pl.col("event_type") == "purchase")
    others = np.random.default_rng(0).choice(CATALOGUE.item_ids, (len(bought), 5)).tolist()
    return pl.DataFrame(
        {
            "request_id": [f"r{at}" for at in range(len(bought))],
            "user_id": bought["user_id"],
            "timestamp": bought["timestamp"] - timedelta(hours=1),
            "items": [[item, *rest] for item, rest in zip(bought["item_id"], others, strict=True)],
        }
    )


def test_what_was_shown_is_learned_from_but_nothing_at_or_after_the_window_that_a_fold_scores(usual, tiny_encoder):
    impressions = logged_impressions()
    whole, _ = tuned(tiny_encoder, impressions=impressions)
    assert np.abs(all_vectors(whole)[0] - all_vectors(usual)[0]).max() > 1e-3
    early, _ = tuned(tiny_encoder, impressions=impressions.filter(pl.col("timestamp") < WINDOWS[1]))
    for window in WINDOWS:
        assert_same_fold(early.folds[window], whole.folds[window])
    assert np.abs(all_vectors(early)[2] - all_vectors(whole)[2]).max() > 1e-3


def test_no_interaction_with_a_hidden_item_is_learned_from_nor_decides_on_whom_to_measure(tiny_encoder, monkeypatch):
    # Fewer than there are, so that a sample is drawn.
    monkeypatch.setattr(validation, "MAX_USERS", 20)
    usual, _ = tuned(tiny_encoder)
    is_hidden = pl.col("item_id").is_in(COLD_IDS)
    days = [day + 0.5 for day in range(105)]
    robots = chosen(*((f"robot-{day % 7}", item, day) for item in COLD_IDS for day in days))
    for changed in (
        with_other_items(INTERACTIONS, is_hidden, COLD_IDS),
        INTERACTIONS.filter(~is_hidden),
        pl.concat([INTERACTIONS, robots], how="diagonal"),
    ):
        assert_same_walk(tuned(tiny_encoder, changed)[0], usual)


def test_each_fold_knows_the_latest_interaction_that_it_was_learned_from(usual):
    learned = INTERACTIONS.filter(~pl.col("item_id").is_in(COLD_IDS))["timestamp"]
    for moment in MOMENTS:
        assert usual.folds[moment].seen_until == learned.filter(learned < moment).max() < moment


@pytest.mark.parametrize("leaking", [WINDOWS[0] - timedelta(days=DAYS), WINDOWS[0]])
def test_seen_until_tells_when_an_earlier_part_of_the_walk_saw_too_much(tiny_encoder, monkeypatch, leaking):
    honest = module.split_by_time

    def leaky(interactions: pl.DataFrame, moment: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
        return honest(interactions, CUT if moment == leaking else moment)

    monkeypatch.setattr(module, "split_by_time", leaky)
    found, _ = tuned(tiny_encoder)
    assert found.folds[WINDOWS[0]].seen_until > WINDOWS[-1]
    assert found.folds[WINDOWS[1]].seen_until > WINDOWS[-1]


def test_a_model_that_saw_a_window_ranks_it_far_better_than_one_that_did_not(tiny_encoder, monkeypatch, tmp_path):
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
    monkeypatch.setattr(walk_module, "STEPS_A_WINDOW", 60)
    config = config_of(max_steps=1, learning_rate=1e-2, interpolation=1.0)
    found = finetune(
        TextEncoder(tiny_encoder, Text(max_tokens=16), config.finetune),
        Tables(interactions),
        catalogue,
        config,
        cut=at(50),
        windows=[at(40)],
        hidden=nothing,
        folder=tmp_path,
    )
    window = text_validation(interactions, catalogue, config, at(40), days=10, held_out=nothing, hidden=nothing)
    untaught = UserTower.configured(config)
    out_of_fold, memorised = (
        validation.ndcg_of(window.unseen, torch.from_numpy(np.array(found.folds[moment].vectors)), untaught)
        for moment in (at(40), at(50))
    )
    assert memorised > 0.6
    assert out_of_fold < 0.4


# Too little to learn from


def encoded(encoder: TextEncoder) -> np.ndarray:
    return PreparedTexts(encoder, TITLES).encode_all().cpu().numpy()


@pytest.mark.parametrize("too_little", ["no steps", "few interactions", "nobody chose two items", "no interaction"])
def test_with_nothing_to_learn_from_the_pretrained_model_stays(tiny_encoder, too_little):
    interactions, config = INTERACTIONS, CONFIG
    if too_little == "no steps":
        config = replaced(max_steps=0)
    elif too_little == "few interactions":
        # Before the last validation that there could be, one fewer than needed.
        before, is_open = pl.col("timestamp") < CUT - timedelta(days=DAYS), ~pl.col("item_id").is_in(COLD_IDS)
        few = INTERACTIONS.filter(before, is_open).tail(MIN_INTERACTIONS - 1)
        interactions = pl.concat([few, INTERACTIONS.filter(~before)])
    elif too_little == "no interaction":
        interactions = INTERACTIONS.clear()
    else:
        interactions = INTERACTIONS.with_columns(user_id=pl.int_range(pl.len()).cast(pl.String))
    found, encoder = tuned(tiny_encoder, interactions, config)
    assert found.uses_pretrained
    assert (found.curve, found.folds) == ([], {})
    for moment in MOMENTS:
        assert found.fold(moment).seen_until == EVER
        assert_same_fold(found.fold(moment), found.pretrained)
    np.testing.assert_array_equal(encoded(encoder), found.pretrained.vectors)
    assert found.pretrained.tower["age_power"].tolist() == [FIRST_POWER]


def test_what_is_learned_from_is_what_there_is():
    def lesson_of(interactions: pl.DataFrame) -> Lesson | None:
        return lesson(interactions, None, CATALOGUE, CONFIG, CUT, NOTHING)

    found = lesson_of(INTERACTIONS)
    assert found is not None
    assert found.together is not None
    assert found.next is not None
    assert found.shown is None
    assert found.seen_until == INTERACTIONS["timestamp"].max()
    alone = INTERACTIONS.with_columns(user_id=pl.int_range(pl.len()).cast(pl.String))
    assert lesson_of(alone) is None
    found = lesson_of(alone.with_columns(query=pl.lit("a lamp")))
    assert found is not None
    assert found.together is None
    assert found.next is not None
    # Queries that nobody chose anything after teach nothing.
    asked = pl.when(pl.col("event_type") == "view").then(pl.lit("a lamp"))
    assert lesson_of(alone.with_columns(query=asked)) is None


RENAMED_AT = CUT - timedelta(minutes=1)


def renamed_before_the_cut() -> Catalogue:
    """The shop in which the first item has another title since a minute before the cut."""
    first = CATALOGUE.table.with_columns(updated_at=pl.lit(at(0)))
    return Catalogue.load(
        pl.concat([first, first.head(1).with_columns(title=pl.lit("sailing boat"), updated_at=pl.lit(RENAMED_AT))])
    )


def test_every_fold_reads_the_items_as_they_were_described_by_then(tiny_encoder, usual, monkeypatch):
    monkeypatch.setattr(Finetuned, "uses_pretrained", False)
    found, _ = tuned(tiny_encoder, catalogue=renamed_before_the_cut())
    for moment in WINDOWS:
        np.testing.assert_allclose(found.fold(moment).vectors, usual.folds[moment].vectors, atol=1e-3)
        assert found.fold(moment).seen_until == usual.folds[moment].seen_until
    renamed, before = found.fold(CUT).vectors, usual.folds[CUT].vectors
    assert np.abs(renamed[0] - before[0]).max() > 0.1
    assert found.fold(CUT).seen_until == RENAMED_AT > usual.folds[CUT].seen_until


def test_the_pretrained_model_reads_the_items_as_they_were_described_by_then(tiny_encoder):
    found, encoder = tuned(tiny_encoder, config=replaced(max_steps=0), catalogue=renamed_before_the_cut())
    texts = PreparedTexts(encoder, [TITLES[0], "sailing boat"]).encode_all().cpu().numpy()
    for moment, expected in ((WINDOWS[-1], texts[0]), (CUT, texts[1])):
        np.testing.assert_allclose(found.fold(moment).vectors[0], expected, atol=1e-6)
        np.testing.assert_array_equal(found.fold(moment).vectors[1:], found.pretrained.vectors[1:])
    assert [found.fold(moment).seen_until for moment in MOMENTS] == [EVER, EVER, RENAMED_AT]
    assert found.counts["items"] == len(CATALOGUE)


@pytest.mark.parametrize(("first_day", "taught"), [(70 - 14, [WINDOWS[1], CUT]), (70, [CUT])])
def test_the_walk_begins_with_the_first_window_that_there_is_enough_before(
    tiny_encoder, monkeypatch, first_day, taught
):
    monkeypatch.setattr(Finetuned, "uses_pretrained", False)
    found, _ = tuned(tiny_encoder, INTERACTIONS.filter(pl.col("timestamp") >= at(first_day)))
    assert list(found.folds) == taught
    for moment in MOMENTS:
        if moment in taught:
            assert EVER < found.fold(moment).seen_until < moment
        else:
            assert_same_fold(found.fold(moment), found.pretrained)
    assert found.validation.keys() == {"pretrained", "finetuned"}
    assert found.last_window.unseen


# Which model is taken


def test_when_learning_made_it_worse_the_model_is_the_pretrained_one(tiny_encoder, monkeypatch):
    # The first validation is asked of the pretrained vectors and after the steps, the last one of both.
    values = iter([0.1, 0.2, 0.2, 0.3])
    monkeypatch.setattr(TextValidation, "measure", lambda *_: {"unseen": next(values), "held_out": 0.0})
    found, encoder = tuned(tiny_encoder)
    assert found.validation == {"pretrained": {"unseen": 0.3}, "finetuned": {"unseen": 0.2}}
    assert found.uses_pretrained
    assert_same_fold(found.fold(CUT), found.pretrained)
    np.testing.assert_array_equal(encoded(encoder), found.pretrained.vectors)
    assert np.abs(found.folds[CUT].vectors - found.pretrained.vectors).max() > 1e-3


def test_the_encoder_is_left_as_the_model_of_the_cut(tiny_encoder, monkeypatch):
    monkeypatch.setattr(Finetuned, "uses_pretrained", False)
    found, encoder = tuned(tiny_encoder)
    np.testing.assert_allclose(encoded(encoder), found.fold(CUT).vectors, atol=1e-6)


def test_the_last_window_is_measured_with_a_model_that_did_not_see_it(usual):
    assert usual.last_window.unseen
    for name, fold in (("pretrained", usual.pretrained), ("finetuned", usual.folds[WINDOWS[-1]])):
        tower = UserTower.configured(CONFIG)
        tower.load_state_dict(fold.tower)
        expected = validation.ndcg_of(usual.last_window.unseen, torch.from_numpy(np.array(fold.vectors)), tower)
        assert usual.validation[name] == {"unseen": pytest.approx(expected)}


def test_what_was_typed_is_measured_too_where_it_is_logged(tiny_encoder):
    titles = dict(zip(CATALOGUE.item_ids, TITLES, strict=True))
    query = pl.when(pl.col("event_type") == "purchase").then(pl.col("item_id").replace_strict(titles))
    found, _ = tuned(tiny_encoder, INTERACTIONS.with_columns(query=query))
    assert "asked" in found.curve[0]
    # A title is found by itself.
    assert found.validation["pretrained"]["asked"] > 0.9


def test_whoever_watches_is_told_what_was_measured_and_when(tiny_encoder, usual):
    told: list[tuple[int, dict[str, float]]] = []
    tuned(tiny_encoder, measured=lambda step, values: told.append((step, dict(values))))
    assert [step for step, _ in told] == [0, STEPS_A_MEASUREMENT]
    assert [{"step": step, "loss": None, **values} for step, values in told] == usual.curve


def test_a_trial_ends_with_the_curve_when_the_number_of_steps_is_chosen(tiny_encoder, usual):
    found, _ = tuned(tiny_encoder, trial="a trial")
    assert (found.curve, found.folds, found.validation) == (usual.curve, {}, {})


def started(tiny_encoder: Path, folder: Path, **finetune: float) -> tuple[Walk, Lesson]:
    config = config_of(batch_items=20, **finetune)
    encoder = TextEncoder(tiny_encoder, Text(max_tokens=16), config.finetune)
    learner = Learner(encoder, UserTower.configured(config), TITLES, CATALOGUE.item_ids, config.finetune)
    found = lesson(INTERACTIONS, None, CATALOGUE, config, CUT, COLD)
    assert found is not None
    return Walk(learner, folder, unwatched), found


def test_training_stops_when_some_measurements_bring_nothing_new_and_keeps_the_best_weights(tiny_encoder, tmp_path):
    walk, found = started(tiny_encoder, tmp_path, max_steps=100 * STEPS_A_MEASUREMENT)
    scripted = Scripted(0.10, 0.12, 0.15, *[0.14, 0.15] * PATIENCE)
    walk.fit(found, scripted, unheeded)
    assert [point["step"] for point in walk.curve] == [at * STEPS_A_MEASUREMENT for at in range(3 + PATIENCE)]
    with walk.as_served():
        assert torch.equal(walk.learner.vectors(), scripted.shown[2])


def test_when_no_measurement_beats_the_pretrained_model_its_weights_are_kept(tiny_encoder, tmp_path):
    walk, found = started(tiny_encoder, tmp_path, max_steps=100 * STEPS_A_MEASUREMENT)
    walk.fit(found, Scripted(0.2, *[0.1] * PATIENCE), unheeded)
    assert torch.equal(walk.learner.vectors(), walk.learner.pretrained)


def test_the_encoder_that_serves_lies_between_the_pretrained_and_the_learned_one_and_learning_goes_on_from_the_latter(
    tiny_encoder, tmp_path
):
    walk, found = started(tiny_encoder, tmp_path, max_steps=1, interpolation=0.25)
    before = walk.learner.weights()
    walk.learner.step(found, 1.0)
    learned = walk.learner.weights()
    with walk.as_served():
        served = walk.learner.weights()
    for name, weight in learned.items():
        expected = weight if name.startswith("tower.") else before[name] + 0.25 * (weight - before[name])
        torch.testing.assert_close(served[name], expected)
        assert torch.equal(walk.learner.weights()[name], weight)


def test_the_last_step_is_measured_even_when_it_is_none_to_measure_at(tiny_encoder, tmp_path):
    walk, found = started(tiny_encoder, tmp_path, max_steps=STEPS_A_MEASUREMENT + 3)
    walk.fit(found, Scripted(0.1, 0.2, 0.3), unheeded)
    assert [point["step"] for point in walk.curve] == [0, STEPS_A_MEASUREMENT, STEPS_A_MEASUREMENT + 3]


def test_the_learning_rate_rises_and_then_falls_as_a_cosine(tiny_encoder, tmp_path, monkeypatch):
    shares: list[float] = []
    monkeypatch.setattr(Learner, "step", lambda _, lesson, share: shares.append(share) or 1.0)
    walk, found = started(tiny_encoder, tmp_path, max_steps=14, warmup_steps=4)
    walk.fit(found, Scripted(*np.linspace(0.1, 0.9, 9)), unheeded)
    last = walk_module.LAST_LEARNING_RATE_SHARE
    assert shares[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert shares[9] == pytest.approx((1 + last) / 2)  # half of the way down
    assert shares[4:] == sorted(shares[4:], reverse=True)
    assert last < shares[-1] < last + 0.05


# A walk that was killed

DROPOUT = 0.2
KILLED = """
import os, sys, pathlib
from tests.training import test_finetune as t
encoder, folder, at_step = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
t.walk_module.SECONDS_A_CHECKPOINT = 0.0
step, steps = t.Learner.step, []
def counted(*arguments):
    found = step(*arguments)
    steps.append(1)
    if len(steps) == at_step:
        os.kill(os.getpid(), 9)
    return found
t.Learner.step = counted
t.tuned(encoder, config=t.replaced(dropout=t.DROPOUT), folder=folder)
"""


@pytest.fixture(scope="module")
def never_killed(tiny_encoder: Path) -> Finetuned:
    return tuned(tiny_encoder, config=replaced(dropout=DROPOUT))[0]


@pytest.mark.parametrize(
    "killed_at",
    [1, STEPS_A_MEASUREMENT - 3, STEPS_A_MEASUREMENT + 1, STEPS_A_MEASUREMENT + 2 * STEPS_A_WINDOW - 1],
    ids=["the first step", "choosing the steps", "the first step of a window", "the second window"],
)
def test_a_walk_that_was_killed_goes_on_and_gives_the_same_model(tiny_encoder, tmp_path, never_killed, killed_at):
    command = [sys.executable, "-c", KILLED, str(tiny_encoder), str(tmp_path), str(killed_at)]
    killed = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], env=os.environ)
    assert killed.returncode == -9, killed.stderr
    assert (tmp_path / CHECKPOINT_FILE).exists() == (killed_at > 1)
    steps = count_steps(lambda: tuned(tiny_encoder, config=replaced(dropout=DROPOUT), folder=tmp_path), found := [])
    assert_same_walk(found[0][0], never_killed)
    # What was learned before the checkpoint is not learned again; the step that was cut short is.
    assert steps == STEPS_A_MEASUREMENT + len(MOMENTS) * STEPS_A_WINDOW - (killed_at - 1)


def count_steps(run: Callable[[], object], found: list) -> int:
    """How many steps a run takes; what it returns goes into `found`."""
    step, steps = Learner.step, 0

    def counted(self: Learner, lesson: Lesson, share: float) -> float:
        nonlocal steps
        steps += 1
        return step(self, lesson, share)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "step", counted)
        found.append(run())
    return steps


def test_the_best_weights_and_the_patience_left_outlive_a_kill(tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(walk_module, "SECONDS_A_CHECKPOINT", 0.0)
    walk, found = started(tiny_encoder, tmp_path, max_steps=100 * STEPS_A_MEASUREMENT)
    before = Scripted(0.1, 0.2, 0.15)
    with pytest.raises(StopIteration):  # nothing more is scripted
        walk.fit(found, before, unheeded)
    again, found = started(tiny_encoder, tmp_path, max_steps=100 * STEPS_A_MEASUREMENT)
    again.fit(found, Scripted(*[0.19] * (PATIENCE - 1)), unheeded)
    assert [point["unseen"] for point in again.curve] == [0.1, 0.2, 0.15, *[0.19] * (PATIENCE - 1)]
    with again.as_served():
        assert torch.equal(again.learner.vectors(), before.shown[1])


def test_a_walk_that_was_killed_after_its_last_step_only_gathers_what_it_left(tiny_encoder, tmp_path):
    first, _ = tuned(tiny_encoder, folder=tmp_path)
    steps = count_steps(lambda: tuned(tiny_encoder, folder=tmp_path), found := [])
    assert steps == 0
    again, encoder = found[0]
    assert_same_walk(again, first)
    served = first.pretrained if first.uses_pretrained else first.folds[CUT]
    np.testing.assert_allclose(encoded(encoder), served.vectors, atol=1e-6)


def test_what_only_an_interrupted_walk_needs_is_removed(tiny_encoder, tmp_path):
    tuned(tiny_encoder, folder=tmp_path)
    (tmp_path / "item_vectors.npy").touch()
    assert (tmp_path / CHECKPOINT_FILE).exists()
    forget_walk(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["item_vectors.npy"]


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
