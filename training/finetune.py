"""Fine-tune the text model, walking forward in time.

The ranker must not be trained on interest scores that the text model memorised. So the model walks through time: it
learns what came before the first window of the ranker, gives the vectors that score that window, learns the window,
gives the vectors for the next one, and so on up to the cut. Each window is scored out of fold, for the price of one
training. A walk that was killed goes on from its last checkpoint.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from recsys.catalogue import Catalogue
from recsys.config import Config
from recsys.interest import Vectors
from recsys.itemtext import ItemText
from recsys.progress import Advance, progress
from recsys.schema import ITEM_ID
from recsys.split import split_by_time
from recsys.state import Mask
from training.checkpoint import load_checkpoint, named, part, save_checkpoint
from training.encoder import TextEncoder
from training.examples import chosen_together
from training.histories import Log
from training.learner import Learner, Lesson
from training.next_choices import NextChoices
from training.shown_choices import ShownChoices
from training.user_tower import UserTower
from training.validation import TextValidation, text_validation

STEPS_A_MEASUREMENT = 10
PATIENCE = 2
"""Measurements without a new best after which training stops."""

STEPS_A_WINDOW = 6
LAST_LEARNING_RATE_SHARE = 0.25
"""Where the cosine of the learning rate ends, and what the windows are learned with."""

HELD_OUT_SHARE = 0.1
MIN_INTERACTIONS = 100
"""Before the first validation; with fewer, or nothing to learn from them, the pretrained model is used as it is."""

SECONDS_A_CHECKPOINT = 30.0
CHECKPOINT_FILE = "checkpoint.safetensors"

Curve = list[dict[str, float | None]]
Measured = Callable[[int, Mapping[str, float]], None]
"""Is told the step and what was measured there, for whoever watches from elsewhere."""


def unwatched(step: int, values: Mapping[str, float]) -> None:
    """Nobody watches."""


EVER = datetime.min.replace(tzinfo=UTC)
"""seen_until of the pretrained model, which saw no interaction at all."""


@dataclass(frozen=True)
class Fold:
    """Item vectors, float32 (n_items, d), the user tower beside them, and the latest interaction that both learned."""

    vectors: Vectors
    tower: dict[str, Tensor]
    seen_until: datetime


@dataclass
class Finetuned:
    """What fine-tuning leaves: a fold for each window of the ranker and one for the cut, and how it went."""

    pretrained: Fold
    folds: dict[datetime, Fold] = field(default_factory=dict)
    curve: Curve = field(default_factory=list)
    """step, loss, and ndcg@10 of the validation window by kind of case"""
    validation: dict[str, dict[str, float]] = field(default_factory=dict)
    """ndcg@10 on the last window, pretrained and finetuned, the latter without having seen it"""
    last_window: TextValidation = field(default_factory=TextValidation)
    """The cases of that window."""
    counts: dict[str, int] = field(default_factory=dict)
    """Items whose text was read; of those the empty and the cut ones."""

    @property
    def uses_pretrained(self) -> bool:
        """Whether the pretrained model is used as it is: learning was not possible, or made nothing better."""
        found = self.validation
        return not found or relative_gain(found["finetuned"], found["pretrained"]) <= 1

    def fold(self, window: datetime) -> Fold:
        """The vectors that may score rows of a window of the ranker."""
        return self.pretrained if self.uses_pretrained else self.folds.get(window, self.pretrained)


@dataclass(frozen=True)
class Tables:
    """The logs to learn from: interactions with a weight each, and impressions if any were logged."""

    interactions: pl.DataFrame
    impressions: pl.DataFrame | None = None


class Walk:
    """Fine-tuning from start to cut: the phases, each of which a checkpoint may interrupt."""

    def __init__(self, learner: Learner, folder: Path, measured: Measured) -> None:
        self.learner, self.folder, self.measured = learner, folder, measured
        self.phase = 0
        """0: choosing the number of steps; after it one for each moment."""
        self.step = 0
        self.curve: Curve = []
        self.losses: list[float] = []
        self.best, self.since_best = 1.0, 0
        self.best_weights = learner.weights()
        self.start_weights = self.previous_weights = self.best_weights
        """Of the pretrained model, and of the phase before this one."""
        self.seen_until: list[datetime] = []
        self.towers: list[dict[str, Tensor]] = []
        """Of the phases that have ended."""
        self._saved = time.monotonic()
        self._resume()

    def fit(self, lesson: Lesson, validation: TextValidation, advance: Advance) -> None:
        """Up to max_steps with early stopping; the model ends with the weights of the best measurement."""
        learner, config = self.learner, self.learner.config
        if not self.curve:
            zero_shot = self._measure(validation, learner.pretrained)
            self.curve.append({"step": 0, "loss": None, **zero_shot})
            self.measured(0, zero_shot)
        advance(self.step)
        zero_shot = {kind: value for kind, value in self.curve[0].items() if kind not in ("step", "loss") and value}
        while self.step < config.max_steps and self.since_best < PATIENCE:
            self.losses.append(learner.step(lesson, self._share()))
            self.step += 1
            advance(note=f"loss {self.losses[-1]:.3f}")
            if self.step % STEPS_A_MEASUREMENT == 0 or self.step == config.max_steps:
                with self.as_served():
                    found = self._measure(validation, learner.vectors())
                loss = float(np.mean(self.losses))
                self.curve.append({"step": self.step, "loss": loss, **found})
                self.measured(self.step, {"loss": loss, **found})
                advance(0, note="ndcg@10 " + " ".join(f"{kind} {value:.3f}" for kind, value in found.items()))
                self.losses.clear()
                gain = relative_gain(found, zero_shot)
                self.since_best += 1
                if gain > self.best:
                    self.best, self.best_weights, self.since_best = gain, learner.weights(), 0
            self._checkpoint()
        learner.load_weights(self.best_weights)

    def learn(self, moment: datetime, lesson: Lesson, advance: Advance) -> None:
        """The steps that take in what came up to a moment, and the fold of that moment."""
        if self.step == 0:
            self.previous_weights = self.learner.weights()
        while self.step < STEPS_A_WINDOW:
            loss = self.learner.step(lesson, LAST_LEARNING_RATE_SHARE)
            self.step += 1
            advance(note=f"up to {moment:%Y-%m-%d}  loss {loss:.3f}")
            self._checkpoint()
        with self.as_served():
            np.save(self._vectors_file(self.phase), self.learner.vectors().cpu().numpy())

    @contextmanager
    def as_served(self) -> Iterator[None]:
        """Inside, the encoder's weights lie between the pretrained and the learned ones; learning goes on from these.

        Wortsman et al., "Robust fine-tuning of zero-shot models", 2022.
        """
        learned = self.learner.weights()
        self.learner.load_weights(self.served(learned))
        yield
        self.learner.load_weights(learned)

    def served(self, learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What serves of learned weights: the encoder's are interpolated, the user tower's stay."""
        share, start = self.learner.config.interpolation, self.start_weights
        return {
            name: torch.lerp(start[name], weight, share) if name.startswith("encoder.") else weight
            for name, weight in learned.items()
        }

    def end_phase(self, seen_until: datetime) -> None:
        """What was learned until now saw interactions until then."""
        self.seen_until.append(max([seen_until, *self.seen_until]))
        self.towers.append(part(self.learner.weights(), "tower"))
        self.phase, self.step = self.phase + 1, 0
        self._checkpoint(now=True)

    def fold(self, phase: int) -> Fold:
        """What a phase that has ended left."""
        vectors = np.load(self._vectors_file(phase), mmap_mode="r")
        return Fold(vectors, self.towers[phase], self.seen_until[phase])

    def _vectors_file(self, phase: int) -> Path:
        return self.folder / f"walk_{phase}.npy"

    def _share(self) -> float:
        """Of the learning rate: a warm-up, then a cosine."""
        config = self.learner.config
        warm_up = min(1.0, (self.step + 1) / max(1, config.warmup_steps))
        done = max(0, self.step - config.warmup_steps) / max(1, config.max_steps - config.warmup_steps)
        cosine = (1 + math.cos(math.pi * done)) / 2
        return warm_up * (LAST_LEARNING_RATE_SHARE + (1 - LAST_LEARNING_RATE_SHARE) * cosine)

    def _measure(self, validation: TextValidation, vectors: Tensor) -> dict[str, float]:
        return validation.measure(vectors, self.learner.tower, self.learner.encode_queries)

    def _checkpoint(self, *, now: bool = False) -> None:
        if not now and time.monotonic() - self._saved < SECONDS_A_CHECKPOINT:
            return
        tensors, state = self.learner.state()
        tensors |= named("best", self.best_weights) | named("previous", self.previous_weights)
        for phase, tower in enumerate(self.towers):
            tensors |= named(f"tower.{phase}", tower)
        state |= {
            "phase": self.phase,
            "step": self.step,
            "curve": self.curve,
            "losses": self.losses,
            "best": self.best,
            "since_best": self.since_best,
            "seen_until": [moment.isoformat() for moment in self.seen_until],
        }
        save_checkpoint(self.folder / CHECKPOINT_FILE, tensors, state)
        self._saved = time.monotonic()

    def _resume(self) -> None:
        found = load_checkpoint(self.folder / CHECKPOINT_FILE)
        if found is None:
            return
        tensors, state = found
        self.learner.load_state(tensors, state)
        self.best_weights, self.previous_weights = part(tensors, "best"), part(tensors, "previous")
        self.phase, self.step, self.curve, self.losses = (state[key] for key in ("phase", "step", "curve", "losses"))
        self.best, self.since_best = state["best"], state["since_best"]
        self.seen_until = [datetime.fromisoformat(moment) for moment in state["seen_until"]]
        self.towers = [part(tensors, f"tower.{phase}") for phase in range(self.phase)]


def finetune(
    encoder: TextEncoder,
    tables: Tables,
    catalogue: Catalogue,
    config: Config,
    *,
    cut: datetime,
    windows: Sequence[datetime],
    hidden: Mask,
    folder: Path,
    measured: Measured = unwatched,
    trial: str | None = None,
) -> Finetuned:
    """Walk forward to the cut; the encoder is left as the model of the cut, or as it was when uses_pretrained.

    tables    of any time; nothing at or after the cut is looked at
    windows   the cuts that the ranker learns from, oldest first: each gets a Fold that saw nothing of it
    hidden    bool (n_items,), items whose interactions the model may never learn from
    folder    where checkpoints lie: with those of an interrupted walk over the same inputs it goes on there
    trial     what to call a trial of settings: it ends when the number of steps is chosen, with the curve and no fold
    """
    # Hidden items go here, so that nothing below can look at them, not even to draw the users to measure on.
    hidden_ids = pl.Series([catalogue.item_ids[item] for item in np.flatnonzero(hidden)], dtype=pl.String)
    known = split_by_time(tables.interactions, cut)[0].filter(~pl.col(ITEM_ID).is_in(hidden_ids.implode()))
    texts = ItemText.configured(config.text, encoder.tokenizer).of_table(catalogue.table)
    learner = Learner(encoder, UserTower.configured(config), texts, catalogue.item_ids, config.finetune)
    untaught = part(learner.weights(), "tower")
    result = Finetuned(Fold(learner.pretrained.cpu().numpy(), untaught, EVER), counts=learner.prepared.counts)
    days = config.split.validation_days
    held_out = held_out_items(len(catalogue), hidden, config.finetune.seed)

    def lesson_until(moment: datetime, without: Mask) -> Lesson | None:
        return lesson(split_by_time(known, moment)[0], tables.impressions, catalogue, config, moment, without)

    def validation_from(start: datetime) -> TextValidation:
        return text_validation(known, catalogue, config, start, days=days, held_out=held_out, hidden=hidden)

    # The walk begins where there is enough to learn before, and then a window to validate on.
    moments = [*windows, cut]
    span = timedelta(days=days)
    lessons = ((moment, lesson_until(moment - span, hidden | held_out)) for moment in moments)
    start, first = next(((moment, found) for moment, found in lessons if found is not None), (cut, None))
    if config.finetune.max_steps == 0 or first is None:
        return result
    moments = [moment for moment in moments if moment >= start]
    first_validation = validation_from(start - span)
    walk = Walk(learner, folder, measured)
    window_steps = 0 if trial else STEPS_A_WINDOW * len(moments)
    with progress(trial or "fine-tuning the text model", config.finetune.max_steps + window_steps) as advance:
        if walk.phase == 0:
            walk.fit(first, first_validation, advance)
            walk.end_phase(first.seen_until)
        if trial:
            result.curve = walk.curve
            return result
        advance(config.finetune.max_steps - int(walk.curve[-1]["step"] or 0))
        for phase, moment in enumerate(moments, start=1):
            if walk.phase == phase:
                following = lesson_until(moment, hidden)
                assert following is not None, "more interactions than in the first lesson"
                walk.learn(moment, following, advance)
                walk.end_phase(following.seen_until)
    result.curve = walk.curve
    result.folds = {moment: walk.fold(phase) for phase, moment in enumerate(moments, start=1)}
    final = walk.served(learner.weights())
    # The last window that was validated on and not seen before: the one before the cut, unless the walk is short.
    is_short = len(moments) == 1
    result.last_window = first_validation if is_short else validation_from(moments[-2])
    before_it = walk.served(walk.best_weights if is_short else walk.previous_weights)
    for name, weights in (("finetuned", before_it), ("pretrained", walk.start_weights)):
        learner.load_weights(weights)
        found = result.last_window.measure(learner.vectors(), learner.tower, learner.encode_queries)
        # The items that were held out at first have been learned from by now.
        result.validation[name] = {kind: value for kind, value in found.items() if kind != "held_out"}
    if not result.uses_pretrained:
        learner.load_weights(final)
    return result


def forget_walk(folder: Path) -> None:
    """Remove what only an interrupted walk needs."""
    for path in (folder / CHECKPOINT_FILE, *folder.glob("walk_*.npy")):
        path.unlink(missing_ok=True)


def lesson(
    interactions: pl.DataFrame,
    impressions: pl.DataFrame | None,
    catalogue: Catalogue,
    config: Config,
    until: datetime,
    without: Mask,
) -> Lesson | None:
    """What there is to learn from interactions and impressions before a moment, but for items in bool (n_items,).

    None when it is too little.
    """
    log = Log.of(interactions, catalogue, config.interaction_types, without=without)
    if len(interactions) < MIN_INTERACTIONS or log is None:
        return None
    tune = config.finetune
    together = chosen_together(interactions, catalogue, held_out=without)
    following = NextChoices(log, config.label_types, repeat_weight=tune.repeat_weight, history_items=tune.history_items)
    shown = None
    if impressions is not None:
        shown = ShownChoices(
            log,
            split_by_time(impressions, until)[0],
            interactions,
            catalogue,
            config.label_types,
            without=without,
            history_items=tune.history_items,
        )
    if len(together.items) == 0 and not shown and not (len(following) and any(log.query)):
        return None
    return Lesson(
        together if len(together.items) else None,
        following if len(following) else None,
        shown if shown else None,
        log.seen_until,
    )


def relative_gain(found: Mapping[str, float | None], zero_shot: Mapping[str, float | None]) -> float:
    """Geometric mean of the ratios to the pretrained model, over the kinds of case that there are."""
    ratios = [(found[kind] or 0.0) / value for kind, value in zero_shot.items() if value]
    return float(np.prod(ratios) ** (1 / len(ratios))) if ratios else 1.0


def held_out_items(n_items: int, hidden: Mask, seed: int) -> Mask:
    """One item in ten of those that are not hidden, learned from only after the number of steps is chosen: bool."""
    mask = np.zeros(n_items, dtype=np.bool_)
    open_items = np.random.default_rng([seed, 1]).permutation(np.flatnonzero(~hidden))
    mask[open_items[: int(len(open_items) * HELD_OUT_SHARE)]] = True
    return mask
