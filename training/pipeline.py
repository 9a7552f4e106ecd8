"""From tables to models: features, text model, rankers, each a stage that is reused when nothing has changed.

Reads   tables/
Writes  features/, cache/
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from features.assembler import BEHAVIOUR_FEATURES, FEATURES
from features.recommender import Recommender
from features.store import BehaviourStore, weigh
from recsys.bundle_files import RANKER_FILE, SCORER_FILE, VECTORS_FILE
from recsys.catalogue import Catalogue
from recsys.errors import DataError
from recsys.interest import InterestScorer, Vectors
from recsys.progress import progress
from recsys.schema import TIMESTAMP
from recsys.split import cold_items, earlier_windows
from recsys.state import ItemState, Mask
from recsys.workspace import Workspace
from training.encoder import TextEncoder
from training.examples import assert_out_of_fold
from training.export import export_encoder, export_scorer
from training.finetune import Finetuned, Fold, finetune
from training.pretrained import encoder_files, encoder_folder
from training.ranker import RankerRows, ranker_rows, train_ranker
from training.stages import Stages, hash_of_file, key_of
from training.windows import Window, open_window

PRETRAINED_FILE = "pretrained_vectors.npy"
TEXT_FILE = "text.json"


class Pipeline:
    """The models of one project as of one cut: they know nothing of what happened at or after it."""

    def __init__(self, workspace: Workspace, *, cut: datetime | None) -> None:
        """`cut` None: learn from everything; then nothing is held back, and no item is kept from the text model."""
        self.workspace = workspace
        self.config = workspace.config
        self.stages = Stages(workspace)
        self.interactions = weigh(workspace.read_table("interactions"), self.config.interaction_types)
        self.first, self.last = self._span()
        self.end = self.last + timedelta(microseconds=1)
        self.cut = self.end if cut is None else cut
        if not self.first < self.cut <= self.end:
            raise DataError(
                f"interactions: they run from {self.first} to {self.last}, the cut is {self.cut}; "
                "expected a cut within that time, set split.test_start or --test-start"
            )
        self.catalogue = Catalogue.load(workspace, as_of=self.cut)
        self.hidden: Mask = np.zeros(len(self.catalogue), dtype=np.bool_)
        if cut is not None:
            self.hidden = cold_items(self.catalogue.item_ids)
        self.store = BehaviourStore(workspace.features)

    @cached_property
    def data_key(self) -> str:
        """A hash of all that the features depend on: tables, weights of the interaction types, and code."""
        tables = [hash_of_file(self.workspace.table_path(name)) for name in ("items", "interactions")]
        return key_of([tables, self.config.interaction_types])

    @cached_property
    def key(self) -> str:
        """A hash of all that the models depend on: features, configuration and cut."""
        config, days = self.config, self.config.split.validation_days
        holds_back = bool(self.hidden.any())
        encoder = [hash_of_file(path) for path in encoder_files(self.encoder)]
        stages = [config.text, config.finetune, config.retrieval, config.ranker]
        return key_of([self.data_key, encoder, stages, days, self.cut, holds_back])

    @cached_property
    def encoder(self) -> Path:
        """The folder of the encoder that fine-tuning starts from."""
        return encoder_folder(self.config.text.encoder, self.workspace.root)

    @cached_property
    def windows(self) -> list[datetime]:
        """The cuts of the ranker's windows, oldest first: of those configured, the ones with a past to learn from."""
        config = self.config.ranker
        starts = earlier_windows(self.cut, count=config.windows, days=config.window_days)
        usable = [start for start in starts if start - timedelta(days=config.window_days) >= self.first]
        if not usable:
            raise DataError(
                f"interactions: {(self.cut - self.first).days} days lie before the cut {self.cut}; expected at least "
                f"{2 * config.window_days} to train a ranker, set ranker.window_days lower or import more"
            )
        return usable

    def compute_features(self) -> None:
        """Snapshots of the features at every window, at the cut and at the end of the data, where there is none yet."""
        self.store.forget_other_data(self.data_key)
        moments = sorted({*self.windows, self.cut, self.end})
        started = time.monotonic()
        with progress("features", len(moments)) as advance:
            for moment in moments:
                self.store.snapshot(self.interactions, self.catalogue, [moment])
                advance()
        self.stages.seconds["features"] = time.monotonic() - started

    @cached_property
    def text(self) -> "TextModel":
        """The text model, fine-tuned and exported; computed on first use."""

        def build(folder: Path) -> None:
            encoder = TextEncoder(self.encoder, self.config.text, self.config.finetune)
            tuned = finetune(
                encoder,
                self.interactions,
                self.catalogue,
                self.config,
                cut=self.cut,
                windows=self.windows,
                hidden=self.hidden,
            )
            _save_text_model(encoder, tuned, [*self.windows, self.cut], folder)

        return TextModel(self.stages.run("text", self.key, build), self.config.finetune.history_items)

    def recommender(self, items: ItemState, scorer: InterestScorer | None) -> Recommender:
        """The path from users to candidates, over the items of a moment."""
        return Recommender(items, scorer, self.config.retrieval.candidates)

    def ranker(self, *, with_text: bool) -> lgb.Booster:
        """The ranker with the text model's channels and features, or without; computed on first use."""
        name = "ranker" if with_text else "ranker_no_text"

        def build(folder: Path) -> None:
            found = [self._rows(at, start, with_text=with_text) for at, start in enumerate(self.windows)]
            parts = [rows for rows in found if rows is not None]
            if not parts:
                raise DataError(
                    f"interactions: nothing retrieved from {self.windows[0]:%Y-%m-%d} on was chosen: there is nothing "
                    "to learn to rank; import more, or set ranker.windows and ranker.window_days in recsys.toml"
                )
            latest = parts.pop() if len(parts) > 1 else None
            features = FEATURES if with_text else BEHAVIOUR_FEATURES
            booster = train_ranker(RankerRows.joined(parts), latest, features, self.config.ranker)
            booster.save_model(folder / RANKER_FILE)

        return lgb.Booster(model_file=self.stages.run(name, self.key, build) / RANKER_FILE)

    def window(self, start: datetime, end: datetime | None) -> Window:
        """What is known at `start`, and what was chosen up to `end`."""
        types = self.config.interaction_types
        return open_window(
            self.store,
            self.catalogue,
            self.interactions,
            start=start,
            end=end,
            label_weights={name: types[name].weight for name in self.config.label_types},
        )

    def _rows(self, at: int, start: datetime, *, with_text: bool) -> RankerRows | None:
        """The rows of a window, with interest scores of a text model that saw nothing of it."""
        ends = [*self.windows[1:], self.cut]
        scorer = None
        if with_text:
            fold = self.text.fold(start)
            assert_out_of_fold(fold.seen_until, start)
            scorer = self.text.scorer(fold.vectors)
        window = self.window(start, ends[at])
        return ranker_rows(self.recommender(window.items, scorer), window, seed=self.config.ranker.seed + at)

    def _span(self) -> tuple[datetime, datetime]:
        first, last = self.interactions[TIMESTAMP].min(), self.interactions[TIMESTAMP].max()
        if not isinstance(first, datetime) or not isinstance(last, datetime):
            raise DataError("interactions: the table is empty; import some with `recsys import`")
        return first, last


@dataclass(frozen=True)
class TextModel:
    """The files of the text stage."""

    folder: Path
    history_items: int

    def fold(self, moment: datetime) -> Fold:
        """The vectors that may score what happened from a moment on: of a ranker's window, or of the cut."""
        fold = self.about["folds"][moment.isoformat()]
        return Fold(np.load(self.folder / fold["file"]), datetime.fromisoformat(fold["seen_until"]))

    def scorer(self, vectors: Vectors) -> InterestScorer:
        """The scorer over item vectors; two threads are slower than one for a single user."""
        return InterestScorer(self.folder / SCORER_FILE, vectors, history_items=self.history_items)

    @cached_property
    def about(self) -> dict[str, Any]:
        """text.json: folds, curve, validation, differences between ONNX and torch."""
        found: dict[str, Any] = json.loads((self.folder / TEXT_FILE).read_text())
        return found

    @property
    def pretrained(self) -> Vectors:
        """The vectors without fine-tuning."""
        return np.load(self.folder / PRETRAINED_FILE)  # type: ignore[no-any-return]


def _save_text_model(encoder: TextEncoder, tuned: Finetuned, moments: Sequence[datetime], folder: Path) -> None:
    """Write vectors of every fold, the ONNX files and text.json."""
    folds = {}
    for at, moment in enumerate(moments):
        fold = tuned.fold(moment)
        # The vectors of the cut are those that serve.
        file = VECTORS_FILE if moment == moments[-1] else f"fold_{at}.npy"
        folds[moment.isoformat()] = {"file": file, "seen_until": fold.seen_until.isoformat()}
        np.save(folder / file, fold.vectors)
    np.save(folder / PRETRAINED_FILE, tuned.pretrained)
    with progress("exporting to ONNX", 2) as advance:
        differences = {"item_encoder": export_encoder(encoder, folder)}
        advance()
        differences["scorer"] = export_scorer(encoder.dimension, folder)
        advance()
    about = {
        "folds": folds,
        "curve": tuned.curve,
        "validation": tuned.validation,
        "uses_pretrained": tuned.uses_pretrained,
        "onnx_difference": differences,
        "dimension": encoder.dimension,
    }
    (folder / TEXT_FILE).write_text(json.dumps(about, indent=1))
