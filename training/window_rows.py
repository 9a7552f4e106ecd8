"""What the ranker of a pipeline learns from: the rows of each window before the cut.

A window of which nothing has changed since it was made is not made again (training.kept_rows).
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from features.known_before import hash_of
from recsys.schema import ITEM_ID, SURFACE, TIMESTAMP, UPDATED_AT
from training.kept_rows import KeptRows
from training.ranker_rows import RankerRows, gains_of, ranker_rows
from training.shown_lists import ShownList, open_shown
from training.shown_rows import ENOUGH_LISTS, MOST_PLACES, drawn, shown_rows, surfaces_of
from training.stages import key_of

if TYPE_CHECKING:
    from training.pipeline import Pipeline


class WindowRows:
    """Of the ranker with the text model's channels and features, or without."""

    def __init__(self, pipeline: "Pipeline", *, with_text: bool) -> None:
        self._pipeline = pipeline
        self._with_text = with_text
        self._gain_of = gains_of(pipeline.label_weights.values())

    def parts(self) -> list[RankerRows]:
        """The rows of each window that has any, oldest first."""
        pipeline, learn_from = self._pipeline, self._pipeline.config.ranker.learn_from
        windows = pipeline.windows
        lists = [self._drawn(at) if learn_from != "retrieved" else [] for at in range(len(windows))]
        if learn_from == "auto":
            learn_from = "impressions" if sum(map(len, lists)) >= ENOUGH_LISTS else "both"
        retrieved = learn_from != "impressions"
        kept = KeptRows(pipeline.workspace.cache, most=2 * len(windows) + 2)
        known = pipeline.known_at(windows)
        found = []
        for at, own in enumerate(lists):
            key = self._key(at, known[windows[at]], own, retrieved=retrieved)
            rows = kept.get(key, partial(self._made, at, own, retrieved=retrieved))
            found += [] if rows is None else [rows]
        kept.drop_oldest()
        return found

    def _made(self, at: int, own: Sequence[ShownList], *, retrieved: bool) -> RankerRows | None:
        """Of candidates as they are retrieved, if asked for, and of what was shown; None when there are none."""
        pipeline, (start, end) = self._pipeline, self._pipeline.spans[at]
        # A text model that saw nothing of the window.
        scorer = pipeline.text.scorer(start) if self._with_text else None
        parts = []
        if retrieved:
            window = pipeline.window(start, end)
            recommender = pipeline.recommender(window.items, scorer)
            parts.append(ranker_rows(recommender, window, gain_of=self._gain_of, seed=self._seed(at)))
        if own:
            shown = open_shown(pipeline.store, pipeline.catalogue, own, start=start)
            recommender = pipeline.recommender(shown.items, scorer)
            parts.append(shown_rows(recommender, shown, gain_of=self._gain_of, surfaces=self._surfaces))
        some = [rows for rows in parts if rows is not None]
        return RankerRows.joined(some) if some else None

    def _drawn(self, at: int) -> list[ShownList]:
        """The impressions of a window that are learned from."""
        pipeline = self._pipeline
        return drawn(pipeline.shown_lists(*pipeline.spans[at], most=MOST_PLACES), seed=self._seed(at))

    def _seed(self, at: int) -> int:
        """Of a window: the same whichever others there are."""
        return self._pipeline.config.ranker.seed + self._pipeline.window_number(at)

    @cached_property
    def _surfaces(self) -> list[str]:
        """Every surface that something was shown on before the cut."""
        shown, cut = self._pipeline.impressions, self._pipeline.cut
        if shown is None or SURFACE not in shown.columns:
            return surfaces_of([None])
        return surfaces_of(shown.filter(pl.col(TIMESTAMP) < cut)[SURFACE].unique())

    @cached_property
    def _text_settings(self) -> str:
        """It reads all files of the encoder: once for all windows."""
        return self._pipeline.text_settings_with(self._pipeline.config.finetune)

    def _key(self, at: int, known: str, own: Sequence[ShownList], *, retrieved: bool) -> str:
        """A hash of all that the rows of a window depend on; `known` of what its snapshot does.

        Items that came after the window are not among that: as candidates they would be there ahead of their time.
        """
        pipeline, (start, end) = self._pipeline, self._pipeline.spans[at]
        catalogue, config = pipeline.catalogue, pipeline.config
        inside = pipeline.interactions.filter(pl.col(TIMESTAMP).is_between(start, end, closed="left"))
        ids = np.array(catalogue.item_ids)
        lists = [
            (one.user, one.surface, ids[one.items].tolist(), one.places.tolist(), one.weights.tolist()) for one in own
        ]
        text = (self._text_settings, pipeline.text.fold(start).scorer_hash) if self._with_text else None
        attributes = [None if of is None else of.codes for of in (catalogue.numbers, catalogue.of_users)]
        data = [known, hash_of(inside), hash_of(self._items_until(start, end)), attributes, lists, text]
        names = pipeline.features.names(pipeline.text.signals if self._with_text else ())
        settings = [names, config.retrieval, pipeline.channels.sources, pipeline.label_weights, self._seed(at)]
        return key_of([start, end, data, settings, retrieved, self._surfaces if own else None])

    def _items_until(self, start: datetime, end: datetime | None) -> pl.DataFrame:
        """As they were at the start, those that came or were touched before the end."""
        rows = self._pipeline.interactions.filter(pl.col(TIMESTAMP) < end)
        is_known = pl.col(ITEM_ID).is_in(rows[ITEM_ID].unique().implode())
        table = self._pipeline.catalogue.at(start).table
        if UPDATED_AT in table.columns:
            is_known |= pl.col(UPDATED_AT) < end
        return table.filter(is_known)
