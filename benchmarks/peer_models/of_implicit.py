"""implicit: ALS, BPR and item-item neighbours by cosine, TF-IDF and BM25.

Reads and writes what benchmarks.peer_models.tuning says.

    python -m benchmarks.peer_models.of_implicit als FOLDER OUT --seconds 300
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from threadpoolctl import threadpool_limits

from benchmarks.peer_models.known import Known, Positions
from benchmarks.peer_models.peer import Model, Peer, Setting, grid
from benchmarks.peer_models.tuning import run
from recsys.metrics import NO_ITEM

THREADS = int(os.environ.get("OMP_NUM_THREADS", "0"))  # 0: all cores


@dataclass(frozen=True)
class Fitted:
    """A model of implicit; `chosen` is what it learned from, (n_users, n_items)."""

    model: Any
    chosen: sp.csr_matrix

    def top(self, users: Positions, *, seen: bool, limit: int) -> Positions:
        """As a Model, all users in one call."""
        top = np.full((len(users), limit), NO_ITEM, dtype=np.int64)
        most = min(limit, self.chosen.shape[1])
        items, _ = self.model.recommend(users, self.chosen[users], N=most, filter_already_liked_items=not seen)
        # -1 fills up a list of neighbours. What is filtered out is still there, last.
        found = items >= 0
        if not seen:
            found &= ~np.take_along_axis(self.chosen[users].toarray() > 0, np.maximum(items, 0), axis=1)
        top[:, :most] = np.where(found, items, NO_ITEM)
        return top


def learned(model: Any, chosen: sp.csr_matrix) -> None:
    """Learn, or go on learning. BLAS has one thread, as the library asks for: it has threads of its own."""
    with threadpool_limits(1, "blas"):
        model.fit(chosen, show_progress=False)


def als(known: Known, setting: Setting) -> Iterator[Model]:
    """Alternating least squares, five iterations a step (published: 15); alpha is the confidence in what was chosen."""
    chosen = known.matrix(setting["of"], setting["half_life_days"]).astype(np.float32)
    model = AlternatingLeastSquares(
        factors=setting["factors"],
        regularization=setting["regularization"],
        alpha=setting["alpha"],
        iterations=5,
        num_threads=THREADS,
        random_state=0,
    )
    while True:
        learned(model, chosen)
        yield Fitted(model, chosen)


def bpr(known: Known, setting: Setting) -> Iterator[Model]:
    """Bayesian personalised ranking, 25 iterations a step (published: 100).

    It knows no weights: what is old can be left out instead.
    """
    chosen = known.last_days(setting["days"]).matrix().astype(np.float32)
    model = BayesianPersonalizedRanking(
        factors=setting["factors"],
        learning_rate=setting["learning_rate"],
        regularization=setting["regularization"],
        iterations=25,
        num_threads=THREADS,
        random_state=np.random.default_rng(0),
    )
    had = known.matrix().astype(np.float32)
    while True:
        learned(model, chosen)
        # What a user had is filtered out also where it was too old to learn from.
        yield Fitted(model, had)


def neighbours(kind: Callable[..., Any], known: Known, setting: Setting) -> Iterator[Model]:
    """The items most like those that a user chose; an item is most like itself."""
    chosen = known.matrix(setting["of"], setting["half_life_days"])
    own = {name: setting[name] for name in ("K1", "B") if name in setting}
    model = kind(K=setting["K"], num_threads=THREADS, **own)
    learned(model, chosen)
    yield Fitted(model, chosen)


WEIGHTS = {"of": ("one", "log", "count"), "half_life_days": (None, 30, 60, 120, 240)}
UNWEIGHTED = {"of": "one", "half_life_days": None}
SIZES = (20, 50, 100, 200, 500, 1000)
PEERS = {
    "als": Peer(
        grid(
            {**UNWEIGHTED, "factors": 100, "regularization": 0.01, "alpha": 1.0},
            **WEIGHTS,
            factors=(32, 64, 128, 256),
            regularization=(0.01, 0.1, 1.0, 10.0),
            alpha=(1.0, 5.0, 20.0, 40.0),
        ),
        als,
    ),
    "bpr": Peer(
        grid(
            {"days": None, "factors": 100, "learning_rate": 0.01, "regularization": 0.01},
            days=(None, 90, 180),
            factors=(32, 64, 128),
            learning_rate=(0.01, 0.03, 0.1),
            regularization=(0.001, 0.01, 0.05),
        ),
        bpr,
    ),
    "cosine": Peer(grid({**UNWEIGHTED, "K": 20}, **WEIGHTS, K=SIZES), partial(neighbours, CosineRecommender)),
    "tfidf": Peer(grid({**UNWEIGHTED, "K": 20}, **WEIGHTS, K=SIZES), partial(neighbours, TFIDFRecommender)),
    "bm25": Peer(
        grid(
            {**UNWEIGHTED, "K": 20, "K1": 1.2, "B": 0.75},
            **WEIGHTS,
            K=(20, 100, 500, 1000, 3000),
            K1=(0.3, 1.2, 3.0, 10.0),
            B=(0.05, 0.2, 0.5, 0.75),
        ),
        partial(neighbours, BM25Recommender),
    ),
}

if __name__ == "__main__":
    run(PEERS)
