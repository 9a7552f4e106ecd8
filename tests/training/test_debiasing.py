"""On simulated logs, whose truth is known: does the ranker learn what users like, or what stood at the top?"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from recsys.config import Ranker
from recsys.simulation import Settings, Simulated, simulate
from training.ranker import train_ranker
from training.ranker_rows import RankerRows

FEATURES = ("liking", "quality_roughly", "price", "taken_for_popular", "noise")
CONFIG = Ranker(trees=150)
SEEDS = range(5)


@cache
def log_of(seed: int, exploration: float) -> Simulated:
    return simulate(Settings(users=300, items=200, impressions=6000, exploration=exploration, drift=0, seed=seed))


def features_of(log: Simulated, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """What a shop may know: float32 (n, len(FEATURES)). What it takes for popular decided where an item stood."""
    random = np.random.default_rng(log.truth.settings.seed)
    rough = log.truth.items.quality + random.normal(0, 0.5, len(log.truth.items.quality))
    liking = np.einsum("nt,nt->n", log.truth.users.first[users], log.truth.items.topics[items])
    columns = [
        liking,
        rough[items],
        log.truth.items.price[items],
        log.shop.popularity[items],
        random.random(len(items)),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def rows_of(log: Simulated, part: slice) -> RankerRows:
    shown, clicked = log.shown[part], log.clicked[part]
    keep = clicked.any(axis=1) & ~clicked.all(axis=1)
    shown, clicked, users = shown[keep], clicked[keep], log.shown_to[part][keep]
    length = shown.shape[1]
    return RankerRows(
        features_of(log, np.repeat(users, length), shown.ravel()),
        clicked.ravel().astype(np.int32),
        np.full(len(shown), length),
        np.tile(np.arange(1, length + 1, dtype=np.int32), len(shown)),
    )


def true_ndcg(log: Simulated, *, debias: bool) -> float:
    """Mean ndcg@10 of the whole catalogue for every user: gains are the true attractiveness."""
    earlier, latest = rows_of(log, slice(0, 5000)), rows_of(log, slice(5000, None))
    config = Ranker(trees=CONFIG.trees, debias_positions=debias)
    booster = train_ranker(earlier, latest, FEATURES, config).trees
    truth = log.truth.attractiveness(at=0.0)
    users, items = (places.ravel() for places in np.indices(truth.shape))
    scores = booster.predict(features_of(log, users, items)).reshape(truth.shape)
    discounts = 1 / np.log2(np.arange(10) + 2)
    found = np.take_along_axis(truth, np.argsort(-scores, axis=1)[:, :10], axis=1) @ discounts
    return float((found / (-np.sort(-truth, axis=1)[:, :10] @ discounts)).mean())


def gains_of_debiasing(exploration: float, seeds: Sequence[int] = SEEDS) -> list[float]:
    logs = [log_of(seed, exploration) for seed in seeds]
    return [true_ndcg(log, debias=True) - true_ndcg(log, debias=False) for log in logs]


@pytest.mark.parametrize("exploration", [0.3, 0.05])
def test_with_places_debiased_the_true_order_is_recovered_better_on_every_seed(exploration):
    gains = gains_of_debiasing(exploration)
    assert min(gains) > 0
    assert np.mean(gains) > 0.03


def test_where_all_places_are_looked_at_alike_debiasing_costs_less_than_it_brings_elsewhere():
    log = simulate(Settings(users=300, items=200, impressions=6000, position_decay=0, drift=0))
    cost = true_ndcg(log, debias=False) - true_ndcg(log, debias=True)
    assert cost < 0.06
    assert cost < np.mean(gains_of_debiasing(0.3, seeds=[0, 1]))
