"""Fine-tune the text model on items that the same users chose, walking forward in time.

The ranker must not be trained on interest scores that the text model memorised. So the model walks through time: it
learns what came before the first window of the ranker, gives the vectors that score that window, learns the window,
gives the vectors for the next one, and so on up to the cut. Each window is scored out of fold, for the price of one
training.

Each step takes a batch of distinct items, encodes each once, and contrasts them all with one another. An anchor holds
the vectors near the pretrained ones: what the encoder could read before, it can read after.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from recsys.catalogue import Catalogue
from recsys.config import Config
from recsys.interest import Vectors
from recsys.itemtext import ItemText
from recsys.progress import Advance, progress
from recsys.schema import ITEM_ID
from recsys.split import earlier_windows, split_by_time
from recsys.state import Mask
from training.encoder import TextEncoder
from training.examples import ChosenTogether, chosen_together
from training.prepared import PreparedTexts
from training.user_tower import TEMPERATURE
from training.validation import TextValidation, text_validation

ANCHOR_WEIGHT = 0.5
WARM_UP_STEPS = 10
STEPS_A_MEASUREMENT = 10
PATIENCE = 2
"""Measurements without a new best after which training stops."""

STEPS_A_WINDOW = 6
WINDOW_LEARNING_RATE_SHARE = 0.25
MAX_GRADIENT_NORM = 1.0
HELD_OUT_SHARE = 0.1
MIN_INTERACTIONS = 100
"""Before the first validation; with fewer, or none that share a user, the pretrained model is used as it is."""

Curve = list[dict[str, float | None]]

EVER = datetime.min.replace(tzinfo=UTC)
"""seen_until of the pretrained model, which saw no interaction at all."""


@dataclass(frozen=True)
class Fold:
    """Item vectors, float32 (n_items, d), and the time of the latest interaction that they were learned from."""

    vectors: Vectors
    seen_until: datetime


@dataclass
class Finetuned:
    """What fine-tuning leaves: a fold for each window of the ranker and one for the cut, and how it went."""

    pretrained: Vectors
    folds: dict[datetime, Fold] = field(default_factory=dict)
    curve: Curve = field(default_factory=list)
    """step, loss, unseen and held_out ndcg@10 of the validation window"""
    validation: dict[str, float] = field(default_factory=dict)
    """ndcg@10 on unseen items of the last window, pretrained and finetuned, the latter without having seen it"""

    @property
    def uses_pretrained(self) -> bool:
        """Whether the pretrained model is used as it is: learning was not possible, or made nothing better."""
        return not self.validation or self.validation["finetuned"] <= self.validation["pretrained"]

    def fold(self, window: datetime) -> Fold:
        """The vectors that may score rows of a window of the ranker."""
        return Fold(self.pretrained, EVER) if self.uses_pretrained else self.folds[window]


class Finetuner:
    """The encoder, its optimiser, and the steps."""

    def __init__(self, encoder: TextEncoder, texts: list[str], config: Config) -> None:
        self.config = config.finetune
        self.encoder = encoder
        self.prepared = PreparedTexts(encoder, texts)
        self.pretrained = self.prepared.encode_all()
        self._random = np.random.default_rng(config.finetune.seed)
        self._optimiser = torch.optim.AdamW(encoder.trained_parameters(), lr=config.finetune.learning_rate)

    def step(self, together: ChosenTogether, learning_rate: float) -> float:
        """One step on one batch of distinct items; returns the loss."""
        size = min(self.config.batch_items, len(together.items))
        batch = self._random.choice(together.items, size, replace=False)
        strength = torch.from_numpy(together.strength[batch][:, batch].toarray())
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate
        vectors = self.prepared.encode(batch.tolist())
        loss = contrast(vectors, strength) + ANCHOR_WEIGHT * drift(vectors, self.pretrained[batch])
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.encoder.trained_parameters(), MAX_GRADIENT_NORM)
        self._optimiser.step()
        return loss.item()

    def fit(self, together: ChosenTogether, validation: TextValidation, advance: Advance) -> Curve:
        """Up to max_steps with early stopping; the encoder ends with the weights of the best measurement."""
        zero_shot = validation.measure(self.pretrained)
        curve: Curve = [{"step": 0, "loss": None, **zero_shot}]
        best, best_weights, losses = 1.0, self.weights(), []
        since_best = 0
        for step in range(1, self.config.max_steps + 1):
            losses.append(self.step(together, self.config.learning_rate * min(1.0, step / WARM_UP_STEPS)))
            advance(note=f"loss {losses[-1]:.3f}")
            if step % STEPS_A_MEASUREMENT and step != self.config.max_steps:
                continue
            found = validation.measure(self.prepared.encode_all())
            curve.append({"step": step, "loss": float(np.mean(losses)), **found})
            gain = relative_gain(found, zero_shot)
            advance(0, note=f"ndcg unseen {found['unseen']:.3f} held out {found['held_out']:.3f}")
            losses.clear()
            since_best += 1
            if gain > best:
                best, best_weights, since_best = gain, self.weights(), 0
            if since_best >= PATIENCE:
                break
        self.encoder.load_trained_state(best_weights)
        return curve

    def vectors(self) -> Vectors:
        """The catalogue as the encoder reads it now: float32 (n_items, d)."""
        return self.prepared.encode_all().numpy()

    def weights(self) -> dict[str, Tensor]:
        """A copy of the trained weights."""
        return self.encoder.trained_state()


def contrast(vectors: Tensor, strength: Tensor) -> Tensor:
    """Cross entropy between what goes with each item of a batch and what its vector is near to.

    vectors   (n, d) unit length
    strength  (n, n), how strongly each row's item goes with each column's; a row of zeros is left out

    InfoNCE with graded targets; van den Oord, Li and Vinyals, "Representation learning with contrastive predictive
    coding", 2018.
    """
    total = strength.sum(1, keepdim=True)
    has_partner = total[:, 0] > 0
    near = TEMPERATURE * vectors @ vectors.T
    near = near.masked_fill(torch.eye(len(vectors), dtype=torch.bool), torch.finfo(near.dtype).min)
    targets = strength[has_partner] / total[has_partner]
    losses = -(targets * torch.log_softmax(near[has_partner], 1)).sum(1)
    return losses.mean() if len(losses) else vectors.sum() * 0


def drift(vectors: Tensor, pretrained: Tensor) -> Tensor:
    """How far unit vectors (n, d) went from the pretrained ones: mean of 1 - cosine."""
    return 1 - (vectors * pretrained).sum(1).mean()


def relative_gain(found: dict[str, float], zero_shot: dict[str, float]) -> float:
    """Geometric mean of the ratios to the pretrained model, over the kinds of case that there are."""
    ratios = [found[kind] / zero_shot[kind] for kind in found if zero_shot[kind] > 0]
    return float(np.prod(ratios) ** (1 / len(ratios))) if ratios else 1.0


def held_out_items(n_items: int, hidden: Mask, seed: int) -> Mask:
    """One item in ten of those that are not hidden, learned from only after the number of steps is chosen: bool."""
    mask = np.zeros(n_items, dtype=np.bool_)
    open_items = np.random.default_rng([seed, 1]).permutation(np.flatnonzero(~hidden))
    mask[open_items[: int(len(open_items) * HELD_OUT_SHARE)]] = True
    return mask


def finetune(
    encoder: TextEncoder,
    interactions: pl.DataFrame,
    catalogue: Catalogue,
    config: Config,
    *,
    cut: datetime,
    windows: Sequence[datetime],
    hidden: Mask,
) -> Finetuned:
    """Walk forward to the cut; the encoder is left as the model of the cut, or as it was when uses_pretrained.

    interactions  of any time; nothing at or after the cut is looked at
    windows       the cuts that the ranker learns from, oldest first: each gets a Fold that saw nothing of it
    hidden        bool (n_items,), items whose interactions the model may never learn from
    """
    known, _ = split_by_time(interactions, cut)
    # Hidden items go here, so that nothing below can look at them, not even to draw the users to measure on.
    hidden_ids = pl.Series([catalogue.item_ids[item] for item in np.flatnonzero(hidden)], dtype=pl.String)
    known = known.filter(~pl.col(ITEM_ID).is_in(hidden_ids.implode()))
    tuner = Finetuner(encoder, ItemText.configured(config.text, encoder.tokenizer).of_table(catalogue.table), config)
    result = Finetuned(tuner.pretrained.numpy())
    days = config.split.validation_days
    (first_validation,) = earlier_windows(windows[0], count=1, days=days)
    first, _ = split_by_time(known, first_validation)
    if config.finetune.max_steps == 0 or len(first) < MIN_INTERACTIONS:
        return result
    held_out = held_out_items(len(catalogue), hidden, config.finetune.seed)
    together = chosen_together(first, catalogue, held_out=hidden | held_out)
    if len(together.items) == 0:
        return result

    def validation_from(start: datetime) -> TextValidation:
        return text_validation(
            known,
            catalogue,
            start,
            days=days,
            history_items=config.finetune.history_items,
            held_out=held_out,
            hidden=hidden,
        )

    moments = [*windows, cut]
    pretrained_weights = tuner.weights()
    seen_until = together.seen_until
    total = config.finetune.max_steps + STEPS_A_WINDOW * len(moments)
    with progress("fine-tuning the text model", total) as advance:
        result.curve = tuner.fit(together, validation_from(first_validation), advance)
        advance(config.finetune.max_steps - int(result.curve[-1]["step"] or 0))
        for moment in moments:
            together = chosen_together(split_by_time(known, moment)[0], catalogue, held_out=hidden)
            for _ in range(STEPS_A_WINDOW):
                loss = tuner.step(together, config.finetune.learning_rate * WINDOW_LEARNING_RATE_SHARE)
                advance(note=f"up to {moment:%Y-%m-%d}  loss {loss:.3f}")
            seen_until = max(seen_until, together.seen_until)
            result.folds[moment] = Fold(tuner.vectors(), seen_until)
    last = validation_from(windows[-1])
    for name, vectors in (("pretrained", result.pretrained), ("finetuned", result.folds[windows[-1]].vectors)):
        result.validation[name] = last.measure(torch.from_numpy(vectors))["unseen"]
    if result.uses_pretrained:
        encoder.load_trained_state(pretrained_weights)
    return result
