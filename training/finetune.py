"""Fine-tune the text model, walking forward in time.

The ranker must not be trained on interest scores that the text model memorised. So the model walks through time: it
learns what came before the first window of the ranker, gives the vectors that score that window, learns the window,
gives the vectors for the next one, and so on up to the cut. Each window is scored out of fold, for the price of one
training, and items are read as they were described by then. A walk that was killed goes on from its last checkpoint.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from recsys.catalogue import Catalogue
from recsys.config import Config
from recsys.itemtext import ItemText
from recsys.progress import progress
from recsys.schema import ITEM_ID
from recsys.split import split_by_time
from recsys.state import Mask
from training.checkpoint import part
from training.encoder import TextEncoder
from training.learner import Learner
from training.lessons import Lesson, Tables, lesson
from training.texts_in_time import TextsInTime
from training.user_tower import UserTower
from training.validation import TextValidation, text_validation
from training.walk import STEPS_A_WINDOW, Curve, Fold, Measured, Walk, relative_gain, unwatched

HELD_OUT_SHARE = 0.1


@dataclass
class Finetuned:
    """What fine-tuning leaves: a fold for each window of the ranker and one for the cut, and how it went."""

    pretrained: Fold
    """Of the cut."""
    folds: dict[datetime, Fold] = field(default_factory=dict)
    curve: Curve = field(default_factory=list)
    """step, loss, and ndcg@10 of the validation window by kind of case"""
    validation: dict[str, dict[str, float]] = field(default_factory=dict)
    """ndcg@10 on the last window, pretrained and finetuned, the latter without having seen it"""
    last_window: TextValidation = field(default_factory=TextValidation)
    """The cases of that window."""
    counts: dict[str, int] = field(default_factory=dict)
    """Items; of the texts that were read of them the empty and the cut ones."""
    pretrained_at: Callable[[datetime], Fold] | None = None
    """The pretrained model with the texts of a window; None: they are those of the cut."""

    @property
    def uses_pretrained(self) -> bool:
        """Whether the pretrained model is used as it is: learning was not possible, or made nothing better."""
        found = self.validation
        return not found or relative_gain(found["finetuned"], found["pretrained"]) <= 1

    def fold(self, window: datetime) -> Fold:
        """The vectors that may score rows of a window of the ranker."""
        if window in self.folds and not self.uses_pretrained:
            return self.folds[window]
        return self.pretrained if self.pretrained_at is None else self.pretrained_at(window)


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
    days = config.split.validation_days
    span = timedelta(days=days)
    moments = [*windows, cut]
    reader = ItemText.configured(config.text, encoder.tokenizer)
    earliest = moments[0] - span
    texts = TextsInTime.of(catalogue, reader, [earliest, *moments])
    learner = Learner(encoder, UserTower.configured(config), texts.texts, catalogue.item_ids, config.finetune)
    pretrained, untaught = learner.untaught.cpu().numpy(), part(learner.weights(), "tower")

    def pretrained_at(moment: datetime) -> Fold:
        return Fold(pretrained[texts.rows[moment]], untaught, texts.seen_until[moment])

    counts = {**learner.prepared.counts, "items": len(catalogue)}
    result = Finetuned(pretrained_at(cut), counts=counts, pretrained_at=pretrained_at)
    held_out = held_out_items(len(catalogue), hidden, config.finetune.seed)

    def lesson_until(moment: datetime, without: Mask) -> Lesson | None:
        return lesson(split_by_time(known, moment)[0], tables.impressions, catalogue, config, moment, without)

    def validation_from(start: datetime) -> TextValidation:
        return text_validation(known, catalogue, config, start, days=days, held_out=held_out, hidden=hidden)

    # The walk begins where there is enough to learn before, and then a window to validate on.
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
                learner.read(texts.rows[moment])
                walk.learn(moment, following, advance)
                walk.end_phase(max(following.seen_until, texts.seen_until[moment]))
    result.curve = walk.curve
    result.folds = {moment: walk.fold(phase) for phase, moment in enumerate(moments, start=1)}
    final = walk.served(learner.weights())
    # The last window that was validated on and not seen before: the one before the cut, unless the walk is short.
    is_short = len(moments) == 1
    result.last_window = first_validation if is_short else validation_from(moments[-2])
    learner.read(texts.rows[earliest if is_short else moments[-2]])
    before_it = walk.served(walk.best_weights if is_short else walk.previous_weights)
    for name, weights in (("finetuned", before_it), ("pretrained", walk.start_weights)):
        learner.load_weights(weights)
        found = result.last_window.measure(learner.vectors(), learner.tower, learner.encode_queries)
        # The items that were held out at first have been learned from by now.
        result.validation[name] = {kind: value for kind, value in found.items() if kind != "held_out"}
    if not result.uses_pretrained:
        learner.load_weights(final)
    return result


def held_out_items(n_items: int, hidden: Mask, seed: int) -> Mask:
    """One item in ten of those that are not hidden, learned from only after the number of steps is chosen: bool."""
    mask = np.zeros(n_items, dtype=np.bool_)
    open_items = np.random.default_rng([seed, 1]).permutation(np.flatnonzero(~hidden))
    mask[open_items[: int(len(open_items) * HELD_OUT_SHARE)]] = True
    return mask
