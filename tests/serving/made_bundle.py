"""A bundle made by hand, whose answers can be worked out: words are orthogonal, and the ranker follows the interest.

Users: `fan` chose a1 once; nobody else is known. Items: a1 and a2 are apples, p1 is a pear, x1 to x9 are boxes, which
sell.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl

from features.featureset import FeatureSet
from features.recent import Row
from recsys.bundle import Manifest, open_bundle, promote, publish
from recsys.bundle_files import (
    BATCH_SCORER_FILE,
    CATALOGUE_FILE,
    ENCODER_FILE,
    NEAREST_FILE,
    RANKER_FILE,
    SCORER_FILE,
    TOKENIZER_FILE,
    VECTORS_FILE,
)
from recsys.catalogue import Catalogue
from recsys.encoder import ItemEncoder
from recsys.exposure import Exposure
from recsys.interest import signal_names
from recsys.retrieval import DEFAULT_CHANNELS, Channels
from recsys.retrieval.nearest import NearestItems
from recsys.state import POPULARITY, ItemState
from recsys.text_neighbours import TextNeighbours
from serving.bundle_engine import BundleEngine
from serving.live_behaviour import Snapshot
from tests.neighbours import no_neighbours
from tests.recsys.wordmodel import write_word_model

FEATURE_SET = FeatureSet.of(["click"])
FEATURES = FEATURE_SET.names(signal_names(["click"]))
NOW = 1e9
WRITTEN_AT = NOW + 60
WORDS = dict(zip(("apple", "pear", "box", "red", "green"), np.eye(5).tolist(), strict=True))
TITLES = {"a1": "red apple", "a2": "green apple", "p1": "pear"} | {f"x{n}": "box" for n in range(1, 10)}
BOXES_SOLD = 50.0


class MadeStore:
    """An online feature store of one user."""

    def __init__(self, features: FeatureSet = FEATURE_SET) -> None:
        self.features = features

    def online_items(self, catalogue: Catalogue) -> ItemState:
        behaviour = np.full((len(catalogue), len(self.features.item_columns)), np.nan)
        for at, item_id in enumerate(catalogue.item_ids):
            behaviour[at, self.features.item_columns.index(POPULARITY)] = BOXES_SOLD if item_id.startswith("x") else 1.0
        neighbours = no_neighbours(len(catalogue))
        columns = self.features.exposure_columns
        exposure = Exposure.of(columns, np.full((len(catalogue), len(columns)), np.nan))
        return ItemState(NOW, self.features.item_columns, behaviour, neighbours, exposure=exposure)

    def online_filling(self) -> str:
        return "made"

    def online_as_of(self) -> datetime:
        return datetime.fromtimestamp(NOW, UTC)

    def online_written_at(self) -> datetime:
        return datetime.fromtimestamp(WRITTEN_AT, UTC)

    def online_rows(self, user_ids: Sequence[str]) -> list[Row]:
        return [self._row(user_id) for user_id in user_ids]

    def _row(self, user_id: str) -> Row:
        known = user_id == "fan"
        return dict.fromkeys(self.features.user_columns, np.nan) | {
            "history_items": ["a1"] * known,
            "history_occasions": [1.0] * known,
            "history_first_at": [NOW - 1000] * known,
            "history_last_at": [NOW - 1000] * known,
            "history_types": ["click"] * known,
            "history_values": [0.0] * known,
            "recent_items": ["a1"] * known,
            "recent_types": ["click"] * known,
            "recent_at": [NOW - 1000] * known,
            "affinity_categories": [],
            "affinity_weights": [],
        }


def publish_made_bundle(
    bundles: Path, scorer: Path, titles: dict[str, str] = TITLES, *, channels: Sequence[str] = (), indexed: bool = False
) -> Path:
    """Publish and promote it; `scorer` is a scorer.onnx for vectors of len(WORDS), which may have scorer_batch.onnx
    beside it, `channels` are those of the manifest; `indexed`: as if the catalogue were large. Returns its folder."""
    manifest = Manifest(
        bundle_id="made",
        created_at=datetime.now(UTC),
        dataset="made",
        trained_from=None,
        trained_until=None,
        versions={},
        features=list(FEATURES),
        channels=list(channels),
        text={"template": "{title}", "column_tokens": {}, "max_tokens": 8, "history_items": 40},
    )

    def build(folder: Path) -> None:
        write_word_model(folder, WORDS)
        (folder / SCORER_FILE).write_bytes(scorer.read_bytes())
        batch = scorer.with_name(BATCH_SCORER_FILE)
        if batch.exists():
            (folder / BATCH_SCORER_FILE).write_bytes(batch.read_bytes())
        catalogue = Catalogue.load(pl.DataFrame({"item_id": list(titles), "title": list(titles.values())}))
        catalogue.table.write_parquet(folder / CATALOGUE_FILE)
        encoder = ItemEncoder(folder / ENCODER_FILE, folder / TOKENIZER_FILE, max_tokens=8)
        vectors = encoder.encode(catalogue.table["title"].to_list())
        np.save(folder / VECTORS_FILE, vectors)
        TextNeighbours.of(vectors).save(folder)
        if indexed:
            NearestItems.of(vectors).save(folder / NEAREST_FILE)
        _ranker().save_model(folder / RANKER_FILE)

    folder = publish(bundles, manifest, build)
    promote(bundles, "made")
    return folder


def made_engine(
    folder: Path,
    scorer: Path,
    store: Snapshot | None = None,
    *,
    channels: Channels = DEFAULT_CHANNELS,
    indexed: bool = False,
    events: Path | None = None,
    batch_requests: int = 1,
    batch_wait_ms: float = 0.0,
) -> BundleEngine:
    """Over the made store or another one; it reads the event log `events`, or events.db of the folder."""
    bundle = open_bundle(publish_made_bundle(folder / "bundles", scorer, indexed=indexed))
    return BundleEngine(
        bundle,
        store or MadeStore(),
        features=FEATURE_SET,
        events=events or folder / "events.db",
        weights={"click": 1.0},
        candidates=40,
        channels=channels,
        batch_requests=batch_requests,
        batch_wait_ms=batch_wait_ms,
    )


def _ranker() -> lgb.Booster:
    """The score is the interest, in steps of a twentieth."""
    rows = np.full((400, len(FEATURES)), np.nan)
    interest = np.linspace(0, 1, len(rows))
    rows[:, FEATURES.index("text_interest")] = interest
    settings = {"min_data_in_leaf": 1, "min_data_in_bin": 1, "learning_rate": 1.0, "num_leaves": 20, "verbosity": -1}
    return lgb.train(settings, lgb.Dataset(rows, interest, params={"verbosity": -1}), num_boost_round=1)
