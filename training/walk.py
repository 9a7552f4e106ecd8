"""The walk of the text model through time: choosing the number of steps, then moment after moment up to the cut.

Writes checkpoint.safetensors, walk_PHASE.npy   what a walk that was killed goes on from
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recsys.interest import Vectors
from recsys.progress import Advance
from training.checkpoint import load_checkpoint, named, part, save_checkpoint
from training.learner import Learner
from training.lessons import Lesson
from training.validation import TextValidation

STEPS_A_MEASUREMENT = 10
PATIENCE = 2
"""Measurements without a new best after which training stops."""

STEPS_A_WINDOW = 6
LAST_LEARNING_RATE_SHARE = 0.25
"""Where the cosine of the learning rate ends, and what the windows are learned with."""

SECONDS_A_CHECKPOINT = 30.0
CHECKPOINT_FILE = "checkpoint.safetensors"

Curve = list[dict[str, float | None]]
Measured = Callable[[int, Mapping[str, float]], None]
"""Is told the step and what was measured there, for whoever watches from elsewhere."""


def unwatched(step: int, values: Mapping[str, float]) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Fold:
    """Item vectors, float32 (n_items, d), the user tower beside them, and the latest interaction that both learned."""

    vectors: Vectors
    tower: dict[str, Tensor]
    seen_until: datetime


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


def forget_walk(folder: Path) -> None:
    """Remove what only an interrupted walk needs."""
    for path in (folder / CHECKPOINT_FILE, *folder.glob("walk_*.npy")):
        path.unlink(missing_ok=True)


def relative_gain(found: Mapping[str, float | None], zero_shot: Mapping[str, float | None]) -> float:
    """Geometric mean of the ratios to the pretrained model, over the kinds of case that there are."""
    ratios = [(found[kind] or 0.0) / value for kind, value in zero_shot.items() if value]
    return float(np.prod(ratios) ** (1 / len(ratios))) if ratios else 1.0
