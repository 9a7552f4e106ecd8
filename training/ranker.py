"""The ranker: LightGBM lambdarank on the candidates of several windows before the cut.

Each user of a window gives two groups: every item may be recommended, and only items that are new to the user. Without
the second, what users buy again would be nearly all that the ranker learns from.

Burges, "From RankNet to LambdaRank to LambdaMART: an overview", 2010.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from features.recommender import Prepared, Ranker, Recommender
from recsys.config import Ranker as RankerConfig
from recsys.progress import progress
from recsys.state import UserState
from training.windows import Window

NEGATIVES = 50
"""Candidates without a label that are kept a group, drawn at random: more make training slower, not better."""

EARLY_STOPPING_TREES = 40

ROWS_IN_LEAF = (20, 200)
"""At least so many: large leaves keep a tree from learning single users by heart. Fewer where there are few rows."""

ROWS_A_LEAF = 500
"""One row in so many is the least of a leaf, within ROWS_IN_LEAF."""


@dataclass(frozen=True)
class RankerRows:
    """Training rows, group after group.

    matrix  float32 (n, n_features); gains int32 (n,), 0 = not chosen; groups int64 (n_groups,) sizes
    """

    matrix: NDArray[np.float32]
    gains: NDArray[np.int32]
    groups: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence["RankerRows"]) -> "RankerRows":
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("matrix", "gains", "groups")))


def ranker_rows(recommender: Recommender, window: Window, *, seed: int) -> RankerRows | None:
    """The rows of a window: candidates as at serving, labelled with what was then chosen; None when none was."""
    random = np.random.default_rng(seed)
    gain_of = {
        weight: gain for gain, weight in enumerate(sorted({w for own in window.labels for w in own.values()}), 1)
    }
    matrices, gains = [], []
    with progress(f"ranker rows from {window.start:%Y-%m-%d}", len(window.users)) as advance:
        for user, labels in zip(window.states, window.labels, strict=True):
            for prepared in groups_of(recommender, user):
                items = prepared.candidates.positions.tolist()
                found = np.array([gain_of.get(labels.get(item, 0.0), 0) for item in items], dtype=np.int64)
                rows = _sample(found, random)
                if len(rows):
                    matrices.append(prepared.matrix[rows])
                    gains.append(found[rows].astype(np.int32))
            advance()
    if not matrices:
        return None
    return RankerRows(np.concatenate(matrices), np.concatenate(gains), np.array([len(part) for part in gains]))


def groups_of(recommender: Recommender, user: UserState) -> Iterator[Prepared]:
    """The two groups of a user: of every item, and of those that are new to the user."""
    signals = recommender.signals(user)
    for exclude in (recommender.nothing(), recommender.seen(user)):
        yield recommender.prepare(user, exclude, signals)


def _sample(gains: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Rows with a gain and some of those without; none where either is missing, for then there is nothing to order."""
    chosen, others = np.flatnonzero(gains > 0), np.flatnonzero(gains == 0)
    if len(chosen) == 0 or len(others) == 0:
        return np.empty(0, dtype=np.int64)
    return np.sort(np.concatenate([chosen, random.permutation(others)[:NEGATIVES]]))


def train_ranker(
    earlier: RankerRows, latest: RankerRows | None, features: Sequence[str], config: RankerConfig
) -> lgb.Booster:
    """Trees as many as serve the latest window best, then learned again with that window as well.

    latest  None when there is one window only: then config.trees are learned, without early stopping.
    """
    parameters = {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [10],
        "lambdarank_truncation_level": 30,
        "num_leaves": config.leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": int(np.clip(len(earlier.gains) // ROWS_A_LEAF, *ROWS_IN_LEAF)),
        "feature_fraction": 0.7,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 20.0,
        "max_bin": 63,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    trees = config.trees
    if latest is not None:
        train = _dataset(earlier, features)
        with progress("choosing the number of trees", config.trees) as advance:
            probe = lgb.train(
                parameters,
                train,
                config.trees,
                valid_sets=[_dataset(latest, features, reference=train)],
                callbacks=[
                    lgb.early_stopping(EARLY_STOPPING_TREES, verbose=False),
                    lambda env: advance(note=_ndcg(env)),
                ],
            )
        trees = probe.best_iteration
        earlier = RankerRows.joined([earlier, latest])
    with progress("training the ranker", trees) as advance:
        return lgb.train(parameters, _dataset(earlier, features), trees, callbacks=[lambda env: advance()])


def _dataset(rows: RankerRows, features: Sequence[str], reference: lgb.Dataset | None = None) -> lgb.Dataset:
    return lgb.Dataset(rows.matrix, rows.gains, group=rows.groups, feature_name=list(features), reference=reference)


def _ndcg(env: lgb.callback.CallbackEnv) -> str:
    return f"ndcg@10 {env.evaluation_result_list[0][2]:.4f}" if env.evaluation_result_list else ""


def score_all(ranker: Ranker, prepared: Sequence[Prepared]) -> list[NDArray[np.float64]]:
    """The scores of several users' candidates in one call, which is much faster than one call each."""
    scores = np.asarray(ranker.predict(np.concatenate([one.matrix for one in prepared])))
    return np.split(scores, np.cumsum([len(one.candidates) for one in prepared])[:-1])
