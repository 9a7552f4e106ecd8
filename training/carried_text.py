"""The text model of an earlier bundle, used again at a later cut: nothing is trained, only new and changed items are
encoded.

Each window of the ranker is scored by the latest fold that was learned before it, so that none saw its window. Items
that came since have, in the folds, a vector of the text of their first version: from the encoder that serves in the
latest fold, from the pretrained one in those before, for the encoders of these are not kept.

Reads   cache/text-KEY/ or cache/text_carried-KEY/, and the catalogue of the bundle
Writes  the same files anew (training.text_stage), in the order of the new catalogue
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from recsys.bundle import Bundle
from recsys.bundle_files import (
    BATCH_SCORER_FILE,
    CATALOGUE_FILE,
    ENCODER_FILE,
    GATHER_FILE,
    SCORER_FILE,
    SMALLER_ENCODER_FILES,
    TOKENIZER_FILE,
    TRAINED_USERS_FILE,
    VECTORS_FILE,
)
from recsys.catalogue import Catalogue
from recsys.config import Config
from recsys.encoder import ItemEncoder
from recsys.interest import Vectors
from recsys.itemtext import ItemText
from recsys.schema import ITEM_ID
from recsys.state import Positions
from recsys.text_neighbours import TextNeighbours
from training.encoder import TextEncoder
from training.prepared import PreparedTexts
from training.ranker import ChosenTrees
from training.stages import hash_of_file
from training.text_stage import PRETRAINED, TEXT_FILE, KeptFold

COPIED = (
    ENCODER_FILE,
    GATHER_FILE,
    BATCH_SCORER_FILE,
    TOKENIZER_FILE,
    TRAINED_USERS_FILE,
    *SMALLER_ENCODER_FILES.values(),
)


@dataclass(frozen=True)
class CarriedText:
    """A text model that was trained before.

    folder         of the stage that made it
    items          the catalogue of its vectors, in their order
    trained_until  the cut at which it was trained
    chosen         the number of trees that the ranker of the bundle has, if that was chosen
    """

    folder: Path
    items: pl.DataFrame
    trained_until: datetime
    chosen: ChosenTrees | None = None

    @classmethod
    def of(cls, bundle: Bundle, cache: Path) -> "CarriedText | None":
        """That of a bundle; None when the cache has it no more, or it is of a version that did not note it, or whom it
        learned from.
        """
        text = bundle.manifest.text
        folder = cache / text.get("stage", "")
        if "stage" not in text or not all((folder / name).exists() for name in (TEXT_FILE, TRAINED_USERS_FILE)):
            return None
        items = pl.read_parquet(bundle.path / CATALOGUE_FILE)
        chosen = msgspec.convert(bundle.manifest.ranker.get("chosen"), ChosenTrees | None)
        return cls(folder, items, datetime.fromisoformat(text["trained_until"]), chosen)

    @property
    def stage(self) -> str:
        """What tells it from others."""
        return self.folder.name

    @cached_property
    def about(self) -> dict[str, Any]:
        """Its text.json."""
        found: dict[str, Any] = json.loads((self.folder / TEXT_FILE).read_text())
        return found

    @cached_property
    def folds(self) -> dict[datetime, KeptFold]:
        """Those that were learned, oldest first, by the moment from which on they may score."""
        named = {name: msgspec.convert(fold, KeptFold) for name, fold in self.about["folds"].items()}
        moments = {datetime.fromisoformat(name): fold for name, fold in named.items() if name != PRETRAINED}
        return {moment: moments[moment] for moment in sorted(moments) if moment <= self.trained_until}

    def serves(self, moments: Sequence[datetime], *, every: timedelta) -> bool:
        """Whether it can score from each of these moments, the last of which is the cut, and is younger than that."""
        return self.trained_until <= moments[-1] < self.trained_until + every and min(self.folds) <= min(moments)

    def carrier(
        self, catalogue: Catalogue, moments: Sequence[datetime], config: Config, encoder: Path
    ) -> Callable[[Path], None]:
        """What writes the files for these moments into a folder; `encoder`: the folder of the pretrained one."""

        def carry(folder: Path) -> None:
            for name in COPIED:
                if (self.folder / name).exists():
                    shutil.copyfile(self.folder / name, folder / name)
            served = ItemEncoder(
                folder / ENCODER_FILE,
                folder / TOKENIZER_FILE,
                max_tokens=config.text.max_tokens,
                threads=config.retrain.threads or 0,
            )
            reader = ItemText.configured(config.text, served.tokenizer)
            first = catalogue.versions.unique(ITEM_ID, keep="first", maintain_order=True).sort(ITEM_ID)
            rows = self._rows(catalogue)
            texts = reader.of_table(first.filter(pl.Series(rows < 0)))
            by_served = served.encode(texts)
            by_pretrained = _pretrained(encoder, config, texts)
            kept: dict[str, dict[str, Any]] = {}
            written: dict[str, KeptFold] = {}
            named = {moment.isoformat(): fold for moment, fold in self.folds.items()}
            named[PRETRAINED] = msgspec.convert(self.about["folds"][PRETRAINED], KeptFold)
            for name, fold in named.items():
                if fold.vectors not in written:
                    is_last = name == self.trained_until.isoformat()
                    vectors = _in_order(
                        np.load(self.folder / fold.vectors), rows, by_served if is_last else by_pretrained
                    )
                    files = f"carried_{len(written)}.npy", f"scorer_carried_{len(written)}.onnx"
                    np.save(folder / files[0], vectors)
                    shutil.copyfile(self.folder / fold.scorer, folder / files[1])
                    written[fold.vectors] = _kept(folder, *files, fold.seen_until)
                kept[name] = msgspec.to_builtins(written[fold.vectors])
            last = self.folds[self.trained_until]
            for moment in moments[:-1]:
                before = max(known for known in self.folds if known <= moment)
                kept[moment.isoformat()] = kept[before.isoformat()]
            now = self._as_of_now(catalogue, reader, rows, served)
            np.save(folder / VECTORS_FILE, now)
            shutil.copyfile(self.folder / last.scorer, folder / SCORER_FILE)
            seen_until = max(last.seen_until, catalogue.seen_until or last.seen_until)
            at_cut = _kept(folder, VECTORS_FILE, SCORER_FILE, seen_until)
            # A cut at which it was trained is a fold already, of the same vectors but for texts that changed since.
            kept[moments[-1].isoformat()] = msgspec.to_builtins(at_cut)
            TextNeighbours.of(now).save(folder)
            about = {**self.about, "folds": kept, "trained_until": self.trained_until.isoformat()}
            (folder / TEXT_FILE).write_text(json.dumps(about, indent=1))

        return carry

    def _rows(self, catalogue: Catalogue) -> Positions:
        """For each item its row in the vectors of then, -1 where it has none: int64 (n_items,)."""
        known = {item: row for row, item in enumerate(self.items[ITEM_ID].to_list())}
        return np.array([known.get(item, -1) for item in catalogue.item_ids], dtype=np.int64)

    def _as_of_now(self, catalogue: Catalogue, reader: ItemText, rows: Positions, encoder: ItemEncoder) -> Vectors:
        """The vectors that serve: float32 (n_items, d)."""
        return vectors_as_served(
            np.load(self.folder / VECTORS_FILE),
            reader.of_table(self.items),
            rows,
            reader.of_table(catalogue.table),
            encoder,
        )


def vectors_as_served(
    vectors: Vectors, texts: Sequence[str], rows: Positions, now: Sequence[str], encoder: ItemEncoder
) -> Vectors:
    """As a server has them: known vectors where the text is the same, else the text encoded: float32 (n_items, d).

    vectors, texts  float32 (n_known, d) and what they were made of
    rows            int64 (n_items,), the row of each item among these, -1 for a new one
    now             the text of each item
    """
    changed = np.array([row < 0 or texts[row] != text for row, text in zip(rows, now, strict=True)], dtype=np.bool_)
    return _in_order(
        vectors, np.where(changed, -1, rows), encoder.encode([now[at] for at in np.flatnonzero(changed).tolist()])
    )


def _in_order(vectors: Vectors, rows: Positions, fresh: Vectors) -> Vectors:
    """The known vectors by their rows, and where the row is -1 the fresh ones one after another."""
    found: Vectors = np.empty((len(rows), vectors.shape[1]), dtype=np.float32)
    found[rows >= 0] = vectors[rows[rows >= 0]]
    found[rows < 0] = fresh
    return found


def _pretrained(encoder: Path, config: Config, texts: Sequence[str]) -> Vectors:
    """As the encoder reads them that fine-tuning starts from: float32 (n, d)."""
    tower = TextEncoder(encoder, config.text, config.finetune)
    if not texts:
        return np.empty((0, tower.dimension), dtype=np.float32)
    found: Vectors = PreparedTexts(tower, texts).encode_all().cpu().numpy()
    return found


def _kept(folder: Path, vectors: str, scorer: str, seen_until: datetime) -> KeptFold:
    return KeptFold(vectors, scorer, seen_until, {name: hash_of_file(folder / name) for name in (vectors, scorer)})
