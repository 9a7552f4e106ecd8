"""Learn the network that scores beside the trees of a ranker (recsys.rank_network).

A list says which of its items were chosen: the loss is the negative logarithm of the share that these have in a softmax
over the list (training.losses). What is kept is a moving average of the weights, which ranks better than the last ones.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from recsys.progress import progress
from recsys.rank_network import FeatureScale, RankNetwork
from recsys.state import Floats
from training.losses import listwise
from training.ranker_rows import RankerRows

HIDDEN: Final = (256, 64)
DROPOUT: Final = 0.3
LISTS_A_STEP: Final = 64
EPOCHS: Final = 6
"""Twice as many order no better beside the trees."""

MOST_STEPS: Final = 20_000
"""Of very many lists not all are seen so often."""

LEARNING_RATE: Final = 3e-3
WEIGHT_DECAY: Final = 1e-2
LARGEST_GRADIENT: Final = 1.0
AVERAGED: Final = 0.998
"""Share of the moving average that each step keeps."""

ROWS_OF_SCALE: Final = 100_000
"""Drawn rows by which features are standardised, and by which the scores of trees and network are made alike."""


def learn_network(rows: RankerRows, *, seed: int) -> RankNetwork:
    """The same rows and seed give the same network, on as many threads."""
    random = np.random.default_rng(seed)
    scale = FeatureScale.of(rows.matrix[_drawn(len(rows.gains), random)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = _layers(scale.width)
        averaged = _fit(layers, scale, rows, random)
    first, first_bias, second, second_bias, last, last_bias = (value.numpy().copy() for value in averaged)
    return RankNetwork(
        scale,
        np.ascontiguousarray(first.T),
        first_bias,
        np.ascontiguousarray(second.T),
        second_bias,
        last[0],
        last_bias,
    )


def as_far_apart(network: RankNetwork, rows: RankerRows, scores: Floats) -> RankNetwork:
    """The network with scores that lie, within a list, as far apart as others of the same rows do: float64 (n,)."""
    ours, theirs = (_spread(values, rows) for values in (network.scores(rows.matrix), scores))
    return network.times(theirs / ours) if ours > 0 else network


def some_lists(rows: RankerRows, *, seed: int) -> RankerRows:
    """Whole lists, drawn, of about ROWS_OF_SCALE rows."""
    order = np.random.default_rng(seed).permutation(len(rows.groups))
    lists = np.sort(order[: np.searchsorted(np.cumsum(rows.groups[order]), ROWS_OF_SCALE) + 1])
    taken = _rows_of(lists, rows, np.cumsum(rows.groups) - rows.groups)
    return RankerRows(rows.matrix[taken], rows.gains[taken], rows.groups[lists])


def _drawn(count: int, random: np.random.Generator) -> np.ndarray:
    return np.arange(count) if count <= ROWS_OF_SCALE else np.sort(random.choice(count, ROWS_OF_SCALE, replace=False))


def _layers(width: int) -> nn.Sequential:
    first, second = HIDDEN
    return nn.Sequential(
        nn.Linear(width, first),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(second, 1),
    )


def _fit(layers: nn.Sequential, scale: FeatureScale, rows: RankerRows, random: np.random.Generator) -> list[Tensor]:
    """The moving average of each weight and bias, in the order of the layers."""
    count, starts = len(rows.groups), np.cumsum(rows.groups) - rows.groups
    a_pass = -(-count // LISTS_A_STEP)
    steps = min(EPOCHS * a_pass, MOST_STEPS)
    parameters = list(layers.parameters())
    averaged = [value.detach().clone() for value in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps + 1)
    layers.train()
    with progress("training the ranker's network", steps) as advance:
        for step in range(steps):
            if step % a_pass == 0:
                order = random.permutation(count)
            lists = order[step % a_pass * LISTS_A_STEP :][:LISTS_A_STEP]
            taken = _rows_of(lists, rows, starts)
            scores = layers(torch.from_numpy(scale.inputs(rows.matrix[taken])))[:, 0]
            loss = _loss(scores, rows.gains[taken], rows.groups[lists])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT)
            optimizer.step()
            schedule.step()
            # At first the average is young: what the weights began with is soon forgotten.
            kept = min(AVERAGED, (1 + step) / (10 + step))
            with torch.no_grad():
                for average, value in zip(averaged, parameters, strict=True):
                    average.lerp_(value, 1 - kept)
            advance()
    return averaged


def _loss(scores: Tensor, gains: np.ndarray, groups: np.ndarray) -> Tensor:
    """Mean over the lists; items count 2 ** gain - 1, as in ndcg."""
    is_item = torch.from_numpy(np.arange(groups.max()) < groups[:, None])
    padded = torch.full(is_item.shape, -torch.inf).masked_scatter(is_item, scores)
    targets = torch.from_numpy(np.exp2(gains).astype(np.float32) - 1)
    return listwise(padded, torch.zeros(is_item.shape).masked_scatter(is_item, targets))


def _rows_of(lists: np.ndarray, rows: RankerRows, starts: np.ndarray) -> np.ndarray:
    """The places of the rows of some lists, list after list."""
    sizes = rows.groups[lists]
    ends = np.cumsum(sizes)
    found: np.ndarray = np.repeat(starts[lists] - (ends - sizes), sizes) + np.arange(ends[-1])
    return found


def _spread(scores: Floats, rows: RankerRows) -> float:
    """The mean over the lists of the standard deviation of their scores."""
    starts = np.cumsum(rows.groups) - rows.groups
    mean = np.add.reduceat(scores, starts) / rows.groups
    squares = (scores - np.repeat(mean, rows.groups)) ** 2
    return float(np.sqrt(np.add.reduceat(squares, starts) / rows.groups).mean())
