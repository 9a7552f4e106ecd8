"""The ranker of a bundle: its trees in LightGBM or in ONNX Runtime, whichever is faster here, and its network.

Reads ranker.txt, ranker.onnx, ranker_rows.npy and ranker_network.npz of a bundle.
"""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from features.lightgbm_model import LightGbmModel
from features.recommender import Ranker, UntrainedRanker
from recsys.bundle_files import RANKER_FILE, RANKER_NETWORK_FILE, RANKER_ONNX_FILE, RANKER_ROWS_FILE
from recsys.rank_network import RankNetwork
from recsys.state import Floats
from recsys.trees import OnnxTrees

TOLERANCE: Final = 1e-5
RUNS: Final = 5

logger: Final = logging.getLogger(__name__)


class QuickTrees:
    """A LightGBM model whose scores come from ONNX Runtime, and all else from itself."""

    def __init__(self, booster: LightGbmModel, onnx: OnnxTrees) -> None:
        self._booster, self._onnx = booster, onnx

    def predict(self, data: NDArray[np.float32], **options: Any) -> Floats:
        """float64 (n,), or with pred_contrib float64 (n, n_features + 1), of a matrix (n, n_features)."""
        if options.get("pred_contrib"):
            return np.asarray(self._booster.predict(data, **options), dtype=np.float64)
        return self._onnx.predict(data)


class WithNetwork:
    """Trees and a network, whose scores are added; so is what each feature adds to them."""

    def __init__(self, trees: Ranker, network: RankNetwork) -> None:
        self._trees, self._network = trees, network

    def predict(self, data: NDArray[np.float32], **options: Any) -> Floats:
        """float64 (n,), or with pred_contrib float64 (n, n_features + 1), of a matrix (n, n_features)."""
        of_trees = np.asarray(self._trees.predict(data, **options), dtype=np.float64)
        found: Floats = of_trees + (
            self._network.contributions(data) if options.get("pred_contrib") else self._network.scores(data)
        )
        return found


def open_ranker(folder: Path, features: Sequence[str]) -> Ranker:
    """That of a bundle whose matrix has these columns."""
    if not (folder / RANKER_FILE).exists():
        return UntrainedRanker(features)
    return beside_network(_open_trees(folder), folder)


def beside_network(trees: Ranker, folder: Path) -> Ranker:
    """The trees with the network that lies in the folder of a ranker, alone where none does."""
    network = folder / RANKER_NETWORK_FILE
    return WithNetwork(trees, RankNetwork.load(network)) if network.exists() else trees


def _open_trees(folder: Path) -> LightGbmModel | QuickTrees:
    """LightGBM where ONNX Runtime is slower, gives other scores, or has no file, as in bundles of earlier versions."""
    booster, onnx = LightGbmModel(folder / RANKER_FILE), folder / RANKER_ONNX_FILE
    if not onnx.exists():
        return booster
    return faster(booster, OnnxTrees(onnx), np.load(folder / RANKER_ROWS_FILE))


def faster(booster: LightGbmModel, onnx: OnnxTrees, rows: NDArray[np.float32]) -> LightGbmModel | QuickTrees:
    """Which of the two scores `rows` in less time, on one thread; their scores are the same."""
    with_lightgbm, expected = _timed(lambda: booster.predict(rows, num_threads=1))
    with_onnx, found = _timed(lambda: onnx.predict(rows))
    difference = float(np.abs(found - expected).max(initial=0.0))
    if not difference <= TOLERANCE:
        logger.warning(
            "ranker: ONNX Runtime differs from LightGBM by %.2g, expected at most %g; LightGBM serves; train again",
            difference,
            TOLERANCE,
        )
        return booster
    logger.info(
        "ranker: %d rows take %.2f ms with ONNX Runtime, %.2f ms with LightGBM",
        len(rows),
        1e3 * with_onnx,
        1e3 * with_lightgbm,
    )
    return QuickTrees(booster, onnx) if with_onnx < with_lightgbm else booster


def _timed(score: Callable[[], Any]) -> tuple[float, Floats]:
    """The least seconds of some runs, which a busy machine disturbs least, and the scores."""
    score()
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        scores = score()
        seconds.append(time.perf_counter() - started)
    return min(seconds), np.asarray(scores, dtype=np.float64)
