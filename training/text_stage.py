"""The text stage: fine-tune, export, and keep what the ranker, the evaluation and the bundle need of it.

Writes  item_vectors.npy, scorer.onnx      of the cut: those that serve
        fold_N.npy, scorer_N.onnx          of the windows of the ranker, each out of fold
        pretrained.npy, scorer_pretrained.onnx
        item_encoder*.onnx, tokenizer.json, gather.onnx, text.json
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from recsys.bundle_files import BATCH_SCORER_FILE, SCORER_FILE, VECTORS_FILE
from recsys.catalogue import Catalogue
from recsys.config import Config
from recsys.interest import InterestScorer, Vectors, signal_names
from recsys.itemtext import ItemText
from recsys.progress import progress
from recsys.text_neighbours import TextNeighbours
from training.encoder import TextEncoder
from training.examples import assert_out_of_fold
from training.export import export_encoder
from training.export_batch_scorer import export_batch_scorer
from training.export_scorer import ScorerExport
from training.finetune import Finetuned
from training.stages import hash_of_file
from training.user_tower import UserTower
from training.validation import ndcg_of
from training.walk import Fold

TEXT_FILE = "text.json"
PRETRAINED = "pretrained"


class KeptFold(msgspec.Struct, frozen=True):
    """Which files hold a fold, until when it learned, and the SHA-256 of each file as it was written."""

    vectors: str
    scorer: str
    seen_until: datetime
    hashes: dict[str, str]

    @property
    def scorer_hash(self) -> str:
        """What was learned has another one whenever it is another."""
        return self.hashes[self.scorer]


@dataclass(frozen=True)
class TextModel:
    """The files of the text stage."""

    folder: Path
    history_items: int

    def scorer(self, moment: datetime) -> InterestScorer:
        """What may score what happened from a moment on: a window of the ranker, or the cut.

        Raises LeakError when it learned anything from then or later.
        """
        fold = self.fold(moment)
        assert_out_of_fold(fold.seen_until, moment)
        return self._scorer(fold)

    def fold(self, moment: datetime) -> KeptFold:
        """The fold that is to score from a moment on."""
        return msgspec.convert(self.about["folds"][moment.isoformat()], KeptFold)

    @property
    def signals(self) -> tuple[str, ...]:
        """The names of what its scorers say."""
        return signal_names(list(self.about["tower"]))

    @property
    def pretrained(self) -> Vectors:
        """The vectors without fine-tuning."""
        fold = msgspec.convert(self.about["folds"][PRETRAINED], KeptFold)
        return np.load(self.folder / fold.vectors)  # type: ignore[no-any-return]

    @cached_property
    def about(self) -> dict[str, Any]:
        """text.json: folds, curve, validation, what was exported and how well."""
        found: dict[str, Any] = json.loads((self.folder / TEXT_FILE).read_text())
        return found

    def _scorer(self, fold: KeptFold) -> InterestScorer:
        vectors = np.load(self.folder / fold.vectors)
        return InterestScorer(self.folder / fold.scorer, vectors, history_items=self.history_items)


def save_text_model(
    encoder: TextEncoder,
    tuned: Finetuned,
    catalogue: Catalogue,
    config: Config,
    moments: Sequence[datetime],
    folder: Path,
) -> None:
    """Write every file; `moments` are the windows of the ranker and, last, the cut."""
    tower = UserTower.configured(config)
    scorers = ScorerExport(tower, encoder.dimension)
    folds: dict[str, KeptFold] = {}

    def keep(name: str, fold: Fold, vectors: str, scorer: str) -> float:
        tower.load_state_dict(fold.tower)
        np.save(folder / vectors, fold.vectors)
        difference = scorers.write(tower, folder / scorer)
        hashes = {file: hash_of_file(folder / file) for file in (vectors, scorer)}
        folds[name] = KeptFold(vectors, scorer, fold.seen_until, hashes)
        return difference

    with progress("exporting to ONNX", len(moments) + 2) as advance:
        keep(PRETRAINED, tuned.pretrained, f"{PRETRAINED}.npy", f"scorer_{PRETRAINED}.onnx")
        advance()
        for at, moment in enumerate(moments[:-1]):
            keep(moment.isoformat(), tuned.fold(moment), f"fold_{at}.npy", f"scorer_{at}.onnx")
            advance()
        served = tuned.fold(moments[-1])
        difference = keep(moments[-1].isoformat(), served, VECTORS_FILE, SCORER_FILE)
        # Of what serves alone: only servers are asked by several users at once.
        of_several = export_batch_scorer(tower, encoder.dimension, folder / BATCH_SCORER_FILE)
        TextNeighbours.of(np.asarray(served.vectors)).save(folder)
        advance()
        texts = ItemText.configured(config.text, encoder.tokenizer).of_table(catalogue.table)
        last = tuned.last_window.unseen
        tower.load_state_dict(tuned.fold(moments[-2] if len(moments) > 1 else moments[-1]).tower)

        def ndcg(vectors: Vectors) -> float:
            return ndcg_of(last, torch.from_numpy(vectors), tower)

        exports = export_encoder(encoder, folder, texts=texts, ndcg=ndcg if last else None)
        advance()
    about = {
        "folds": {name: msgspec.to_builtins(fold) for name, fold in folds.items()},
        "curve": tuned.curve,
        "validation": tuned.validation,
        "uses_pretrained": tuned.uses_pretrained,
        "texts": tuned.counts,
        "tower": tower_figures(tower, served),
        "encoders": exports,
        "scorer_difference": max(difference, of_several),
        "dimension": encoder.dimension,
    }
    (folder / TEXT_FILE).write_text(json.dumps(about, indent=1))


def tower_figures(tower: UserTower, fold: Fold) -> dict[str, dict[str, Any]]:
    """What the user tower learned, in words: for each label the power of age, …"""
    tower.load_state_dict(fold.tower)
    return {
        label: {
            "age_power": tower.age_power[at].item(),
            "occasions_power": tower.occasions_power[at].item(),
            "type_weight": dict(zip(tower.types, tower.kind_weight[at].exp().tolist(), strict=True)),
            "query_share": torch.sigmoid(tower.query_gate[at]).item(),
        }
        for at, label in enumerate(tower.labels)
    }
