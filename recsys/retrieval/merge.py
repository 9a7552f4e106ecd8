"""Merge the channels' lists by reciprocal rank fusion; who brought an item is kept.

An item has 1 / (120 + rank) of every channel that brought it, rank from 0: what several channels agree on comes first.
Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods", 2009.
But the first of each channel are always among the candidates: what is new is brought by a single one. And the lists
are longer than what is kept of them, for what many have rather far down may be better than the last of one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recsys.retrieval.channels import DEFAULT_CHANNELS, Channels
from recsys.retrieval.query import Query
from recsys.state import Floats, Mask, Positions

FUSION_RANKS = 120.0
"""The paper has 60. Found on the recall of 300 candidates in five windows of Online Retail before the cut."""

LONGER = 2
"""How much longer the lists are than the number of candidates, where no budget bounds them."""

ITEMS_A_SURE_ONE = 20
"""Of so many candidates each channel has one for sure, its first."""


@dataclass(frozen=True)
class CandidateSet:
    """Items for the ranker.

    positions  int64 (n,), in the order of the merge
    brought    bool (n, len(channels)): which channel had it in its list
    """

    positions: Positions
    brought: Mask
    channels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.positions)

    def with_items(self, positions: Positions) -> "CandidateSet":
        """Behind these, items that no channel need bring."""
        more = positions[~np.isin(positions, self.positions)]
        nobody = np.zeros((len(more), len(self.channels)), dtype=np.bool_)
        return CandidateSet(
            np.concatenate([self.positions, more]), np.concatenate([self.brought, nobody]), self.channels
        )

    def provenance(self, at: int) -> tuple[str, ...]:
        """The channels that brought the item at a row of `positions`."""
        return tuple(name for name, did in zip(self.channels, self.brought[at], strict=True) if did)


def retrieve(query: Query, *, limit: int, channels: Channels = DEFAULT_CHANNELS) -> CandidateSet:
    """At most `limit` candidates, and of each channel at most its budget; equal ones in the order of the channels."""
    return merge(lists_of(query, limit=limit, channels=channels), limit=limit)


def lists_of(query: Query, *, limit: int, channels: Channels) -> dict[str, Positions]:
    """What each channel brings to the merge of `limit` candidates, the best first."""
    return {
        name: best(np.where(query.exclude, -np.inf, channel(query)), channels.most(name, LONGER * limit))
        for name, channel in channels
    }


def merge(lists: Mapping[str, Positions], *, limit: int) -> CandidateSet:
    """At most `limit` of the items in these lists, name → positions, the best first."""
    brought = np.concatenate([np.empty(0, dtype=np.int64), *lists.values()])
    positions, places = np.unique(brought, return_inverse=True)
    # A row a channel: NumPy is slow where it goes along a few values at a time.
    ranks, at = np.full((len(lists), len(positions)), np.inf), 0
    for row, top in zip(ranks, lists.values(), strict=True):
        row[places[at : (at := at + len(top))]] = np.arange(len(top))
    fused = (1.0 / (FUSION_RANKS + ranks)).sum(axis=0)
    order = np.lexsort((ranks.argmin(axis=0), -fused))
    if len(order) > limit:
        is_sure = (ranks[:, order] < limit // ITEMS_A_SURE_ONE).any(axis=0)
        # Stable: those that are sure, then the others, each in their order.
        kept = np.argsort(~is_sure, kind="stable")[:limit]
        order = order[np.sort(kept)]
    return CandidateSet(positions[order], (ranks[:, order] < np.inf).T, tuple(lists))


def best(scores: Floats, limit: int) -> Positions:
    """The positions of the `limit` highest scores above -inf, best first; equal scores by position."""
    found = np.flatnonzero(scores > -np.inf)
    if len(found) > limit:
        threshold = np.partition(scores[found], len(found) - limit)[len(found) - limit]
        found = found[scores[found] >= threshold]
    return found[np.argsort(-scores[found], kind="stable")][:limit]
