"""The ranker: LightGBM lambdarank on lists of several windows before the cut.

Each user of a window gives two groups of candidates as they are retrieved: every item may be recommended, and only
items that are new to the user. Without the second, what users buy again would be nearly all that the ranker learns
from. Logged impressions give further groups: training.shown_rows.

Where an item of an impression stood is no feature. LightGBM adds to each score, while it learns, a term of its own for
that place, so that the trees need not explain what the place does: https://github.com/microsoft/LightGBM/pull/5929.

Burges, "From RankNet to LambdaRank to LambdaMART: an overview", 2010.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import lightgbm as lgb
import msgspec
import numpy as np
from numpy.typing import NDArray

from features.recommender import Prepared, Ranker, Recommender
from recsys.config import Ranker as RankerConfig
from recsys.progress import progress
from recsys.state import UserState
from training.place_bias import PlaceBias
from training.ranker_settings import parameters
from training.windows import Window

NEGATIVES = 50
"""Candidates without a label that are kept a group, drawn at random: more make training slower, not better."""

EARLY_STOPPING_TREES = 100
"""The ndcg of one window is noisy: with fewer it stopped at half of the trees that rank other windows best."""

MUCH_MORE: Final = 1.5
"""So many times the rows ask for another number of trees."""

NDCG: Final = "ndcg@10"


@dataclass(frozen=True)
class RankerRows:
    """Training rows, group after group.

    matrix  float32 (n, n_features); gains int32 (n,), 0 = not chosen; groups int64 (n_groups,) sizes
    places  int32 (n,), a number for each surface and place that an item was shown at, 0 for candidates that were not
            shown; None: none was
    """

    matrix: NDArray[np.float32]
    gains: NDArray[np.int32]
    groups: NDArray[np.int64]
    places: NDArray[np.int32] | None = None

    @classmethod
    def none(cls) -> "RankerRows":
        """No rows, of no features."""
        return cls(np.zeros((0, 0), np.float32), np.zeros(0, np.int32), np.zeros(0, np.int64))

    @classmethod
    def joined(cls, parts: Sequence["RankerRows"]) -> "RankerRows":
        matrix, gains, groups = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("matrix", "gains", "groups")
        )
        if all(part.places is None for part in parts):
            return cls(matrix, gains, groups)
        places = [np.zeros(len(part.gains), np.int32) if part.places is None else part.places for part in parts]
        return cls(matrix, gains, groups, np.concatenate(places))


def gains_of(weights: Iterable[float]) -> dict[float, int]:
    """The gain of each weight of the labels: its rank among them, 1 = lowest."""
    return {weight: gain for gain, weight in enumerate(sorted(set(weights)), 1)}


def ranker_rows(
    recommender: Recommender, window: Window, *, gain_of: Mapping[float, int], seed: int
) -> RankerRows | None:
    """The rows of a window: candidates as at serving, labelled with what was then chosen; None when none was."""
    random = np.random.default_rng(seed)
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


class ChosenTrees(msgspec.Struct, frozen=True):
    """How many trees were found to serve best, from how many rows, and a hash of the settings that they grew by."""

    trees: int
    rows: int
    settings: str

    def serve(self, rows: int, settings: str) -> bool:
        """Whether they are right for others as well: of the same settings, and of not much more to learn from."""
        return settings == self.settings and rows <= MUCH_MORE * self.rows


@dataclass(frozen=True)
class Probe:
    """So many trees order the latest window best, and the ndcg@10 of its groups that they reach."""

    trees: int
    ndcg: float


def train_ranker(
    earlier: RankerRows, latest: RankerRows | None, features: Sequence[str], config: RankerConfig
) -> lgb.Booster:
    """Trees as many as serve the latest window best, then learned again with that window as well: of more rows more
    trees, in proportion, up to config.trees.

    latest  None when there is one window only: then config.trees are learned, without early stopping.
    """
    settings = parameters(config, features, len(earlier.gains))
    trees = config.trees
    if latest is not None:
        found, rows = probe(earlier, latest, features, config).trees, len(earlier.gains)
        earlier = RankerRows.joined([earlier, latest])
        trees = min(config.trees, round(found * len(earlier.gains) / rows))
    with progress("training the ranker", trees) as advance:
        return lgb.train(settings, _dataset(earlier, features, config), trees, callbacks=[lambda env: advance()])


def probe(earlier: RankerRows, latest: RankerRows, features: Sequence[str], config: RankerConfig) -> Probe:
    """Learn from the earlier windows until the latest is no longer ordered better.

    Where places are debiased, better is what explains the choices better together with the places: by scores alone the
    log is ordered best by a ranker that has learned the places after all.
    """
    settings = parameters(config, features, len(earlier.gains))
    bias = None
    if config.debias_positions and latest.places is not None:
        bias = PlaceBias(latest.places, latest.gains, latest.groups)
        settings["metric"] = "None"

    def with_places(scores: NDArray[np.float64], _: lgb.Dataset) -> tuple[str, float, bool]:
        assert bias is not None
        return NDCG, bias.ndcg(scores), True

    train = _dataset(earlier, features, config)
    with progress("choosing the number of trees", config.trees) as advance:
        found = lgb.train(
            settings,
            train,
            config.trees,
            valid_sets=[_dataset(latest, features, config, reference=train)],
            feval=None if bias is None else with_places,
            callbacks=[
                lgb.early_stopping(EARLY_STOPPING_TREES, verbose=False),
                lambda env: advance(note=_ndcg(env)),
            ],
        )
    return Probe(found.best_iteration, float(found.best_score["valid_0"][NDCG]))


def _dataset(
    rows: RankerRows, features: Sequence[str], config: RankerConfig, reference: lgb.Dataset | None = None
) -> lgb.Dataset:
    places = rows.places if config.debias_positions else None
    return lgb.Dataset(
        rows.matrix, rows.gains, group=rows.groups, feature_name=list(features), reference=reference, position=places
    )


def _ndcg(env: lgb.callback.CallbackEnv) -> str:
    return f"{NDCG} {env.evaluation_result_list[0][2]:.4f}" if env.evaluation_result_list else ""


def score_all(ranker: Ranker, prepared: Sequence[Prepared]) -> list[NDArray[np.float64]]:
    """The scores of several users' candidates in one call, which is much faster than one call each."""
    scores = np.asarray(ranker.predict(np.concatenate([one.matrix for one in prepared])))
    return np.split(scores, np.cumsum([len(one.candidates) for one in prepared])[:-1])
