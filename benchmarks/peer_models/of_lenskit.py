"""LensKit: item-item neighbours, ALS for implicit feedback and SLIM.

Reads and writes what benchmarks.peer_models.tuning says.

    python -m benchmarks.peer_models.of_lenskit item_knn FOLDER OUT --seconds 300
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from lenskit import recommend
from lenskit.als import ImplicitMFScorer
from lenskit.basic.candidates import TrainingItemsCandidateSelector
from lenskit.data import from_interactions_df
from lenskit.knn import ItemKNNScorer, SLIMScorer
from lenskit.pipeline import Component, Pipeline, RecPipelineBuilder
from lenskit.training import TrainingOptions

from benchmarks.peer_models.known import Known, Positions
from benchmarks.peer_models.peer import Model, Peer, Setting, grid
from benchmarks.peer_models.tuning import run
from recsys.metrics import NO_ITEM


@dataclass(frozen=True)
class Fitted:
    """A trained pipeline; `had` is (n_users, n_items), `items` what it learned of."""

    pipeline: Pipeline
    had: sp.csr_matrix
    items: Positions

    def top(self, users: Positions, *, seen: bool, limit: int) -> Positions:
        """As a Model, one user after another; a user whom it learned nothing of gets an empty list."""
        top = np.full((len(users), limit), NO_ITEM, dtype=np.int64)
        for row, user in zip(top, users, strict=True):
            candidates = self.items if seen else np.setdiff1d(self.items, self.had[user].indices)
            found = recommend(self.pipeline, int(user), limit, candidates)
            row[: len(found)] = found.ids()
        return top


def trained(scorer: Component[Any], chosen: sp.csr_matrix, known: Known) -> Fitted:
    """Learn from a matrix of users by items, whose values are ratings to who asks for them."""
    pairs = chosen.tocoo()
    ratings = pd.DataFrame({"user_id": pairs.row, "item_id": pairs.col, "rating": pairs.data})
    builder = RecPipelineBuilder()
    builder.scorer(scorer)
    builder.candidate_selector(TrainingItemsCandidateSelector, {"exclude": None})
    pipeline = builder.build()
    pipeline.train(from_interactions_df(ratings), TrainingOptions(rng=0))
    return Fitted(pipeline, known.matrix(), np.unique(pairs.col).astype(np.int64))


def unweighted(scorer: Callable[..., Any], known: Known, setting: Setting) -> Iterator[Model]:
    """A scorer that knows no weights; what is old can be left out instead."""
    own = {name: value for name, value in setting.items() if name != "days"}
    yield trained(scorer(**own), known.last_days(setting["days"]).matrix(), known)


def implicit_mf(known: Known, setting: Setting) -> Iterator[Model]:
    """Alternating least squares; `weight` is the confidence in what was chosen."""
    own = {name: value for name, value in setting.items() if name not in ("of", "half_life_days")}
    # The embeddings of training: nobody has a history beside it.
    scorer = ImplicitMFScorer(**own, use_ratings=True, user_embeddings="prefer")
    yield trained(scorer, known.matrix(setting["of"], setting["half_life_days"]), known)


DAYS = (None, 180, 90)
PEERS = {
    "item_knn": Peer(
        grid(
            {"days": None, "feedback": "implicit", "max_nbrs": 20},
            days=DAYS,
            feedback=("implicit",),
            max_nbrs=(5, 10, 20, 50, 100, 300),
        ),
        partial(unweighted, ItemKNNScorer),
    ),
    "implicit_mf": Peer(
        grid(
            {"of": "one", "half_life_days": None, "embedding_size": 50, "regularization": 0.1, "weight": 40.0},
            of=("one", "log", "count"),
            half_life_days=(None, 60, 120, 240),
            embedding_size=(32, 64, 128, 256),
            regularization=(0.01, 0.1, 1.0, 10.0),
            weight=(1.0, 5.0, 20.0, 40.0),
        ),
        implicit_mf,
    ),
    "slim": Peer(
        grid(
            {"days": None, "l1_reg": 1.0, "l2_reg": 1.0},
            days=DAYS,
            l1_reg=(0.1, 1.0, 3.0),
            l2_reg=(1.0, 10.0, 100.0),
        ),
        partial(unweighted, SLIMScorer),
    ),
}

if __name__ == "__main__":
    run(PEERS)
