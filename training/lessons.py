"""What the text model may learn up to a moment, out of the logs."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from recsys.catalogue import Catalogue
from recsys.config import Config
from recsys.split import split_by_time
from recsys.state import Mask
from training.examples import ChosenTogether, chosen_together
from training.histories import Log
from training.next_choices import NextChoices
from training.shown_choices import ShownChoices

MIN_INTERACTIONS = 100
"""Before the first validation; with fewer, or nothing to learn from them, the pretrained model is used as it is."""


@dataclass(frozen=True)
class Tables:
    """The logs to learn from: interactions with a weight each, and impressions if any were logged."""

    interactions: pl.DataFrame
    impressions: pl.DataFrame | None = None


@dataclass(frozen=True)
class Lesson:
    """What may be learned up to a moment."""

    together: ChosenTogether | None
    next: NextChoices | None
    shown: ShownChoices | None
    seen_until: datetime


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
