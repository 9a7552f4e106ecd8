"""The ranker: LightGBM lambdarank on lists of several windows before the cut, and beside it a network.

The score of an item is that of the trees and that of the network, added, where the latest window is ordered better so
than by the trees alone.

Where an item of an impression stood is no feature. LightGBM adds to each score, while it learns, a term of its own for
that place, so that the trees need not explain what the place does: https://github.com/microsoft/LightGBM/pull/5929.

Burges, "From RankNet to LambdaRank to LambdaMART: an overview", 2010.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import lightgbm as lgb
import msgspec
import numpy as np
from numpy.typing import NDArray

from features.recommender import Prepared, Ranker
from recsys.config import Ranker as RankerConfig
from recsys.progress import progress
from recsys.rank_network import RankNetwork
from training.list_ndcg import ListNdcg
from training.place_bias import PlaceBias
from training.rank_network import as_far_apart, learn_network, some_lists
from training.ranker_rows import RankerRows
from training.ranker_settings import parameters

EARLY_STOPPING_TREES = 100
"""The ndcg of one window is noisy: with fewer it stopped at half of the trees that rank other windows best."""

MUCH_MORE: Final = 1.5
"""So many times the rows ask for another number of trees."""

ENOUGH_LISTS: Final = 1000
"""From so many on a network is tried: fewer teach it little, and say little of how well it orders."""

NDCG: Final = "ndcg@10"


class ChosenTrees(msgspec.Struct, frozen=True):
    """How many trees were found to serve best, from how many rows, and a hash of the settings that they grew by.

    network  whether a network beside them ordered the latest window better
    """

    trees: int
    rows: int
    settings: str
    network: bool = False

    def serve(self, rows: int, settings: str) -> bool:
        """Whether they are right for others as well: of the same settings, and of not much more to learn from."""
        return settings == self.settings and rows <= MUCH_MORE * self.rows


class Learned(NamedTuple):
    """A ranker: the scores of its trees and, where there is one, of its network are added."""

    trees: lgb.Booster
    network: RankNetwork | None


@dataclass(frozen=True)
class Probe:
    """So many trees order the latest window best, the ndcg@10 of its groups that they reach, and the trees."""

    trees: int
    ndcg: float
    booster: lgb.Booster | None = None


def train_ranker(
    earlier: RankerRows,
    latest: RankerRows | None,
    features: Sequence[str],
    config: RankerConfig,
    *,
    with_network: bool = False,
) -> Learned:
    """Trees as many as serve the latest window best, then learned again with that window as well: of more rows more
    trees, in proportion, up to config.trees. Likewise a network, if it serves that window.

    latest        None when there is one window only, or when the number of trees is known: then config.trees are
                  learned, without early stopping
    with_network  whether one served before, where there is no latest window to ask
    """
    settings = parameters(config, features, len(earlier.gains))
    trees = config.trees
    if latest is not None:
        found, rows = probe(earlier, latest, features, config), len(earlier.gains)
        with_network = network_serves(found, earlier, latest, config)
        earlier = RankerRows.joined([earlier, latest])
        trees = min(config.trees, round(found.trees * len(earlier.gains) / rows))
    with progress("training the ranker", trees) as advance:
        booster = lgb.train(settings, _dataset(earlier, features, config), trees, callbacks=[lambda env: advance()])
    with_network = with_network and can_have_network(earlier, config)
    return Learned(booster, _network_beside(booster, earlier, config) if with_network else None)


def can_have_network(rows: RankerRows, config: RankerConfig) -> bool:
    """Whether a network may learn from these rows: not from few lists, nor from lists that were shown, whose places it
    would learn, nor beside constraints, which it would not keep."""
    return config.network and not config.monotone and rows.places is None and len(rows.groups) >= ENOUGH_LISTS


def network_serves(trees: Probe, earlier: RankerRows, latest: RankerRows, config: RankerConfig) -> bool:
    """Whether the latest window is ordered better by trees and a network from the earlier ones than by trees alone."""
    if not can_have_network(earlier, config) or latest.places is not None:
        return False
    assert trees.booster is not None
    network = _network_beside(trees.booster, earlier, config)
    alone = np.asarray(trees.booster.predict(latest.matrix), dtype=np.float64)
    lists = ListNdcg(latest.gains, latest.groups)
    return lists.mean(alone + network.scores(latest.matrix)) > lists.mean(alone)


def _network_beside(trees: lgb.Booster, rows: RankerRows, config: RankerConfig) -> RankNetwork:
    """One whose scores count as much as those of the trees."""
    network, some = learn_network(rows, seed=config.seed), some_lists(rows, seed=config.seed)
    return as_far_apart(network, some, np.asarray(trees.predict(some.matrix), dtype=np.float64))


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
    return Probe(found.best_iteration, float(found.best_score["valid_0"][NDCG]), found)


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
