"""Merge the channels' lists: an item's place is its best rank in any channel; who brought it is kept."""

from dataclasses import dataclass

import numpy as np

from recsys.retrieval.channels import CHANNELS
from recsys.retrieval.query import Query
from recsys.state import Floats, Mask, Positions

UNRANKED = np.iinfo(np.int64).max


@dataclass(frozen=True)
class CandidateSet:
    """Items for the ranker.

    positions  int64 (n,), in the order of the merge
    brought    bool (n, len(channels)): which channel had it among its first `limit`
    """

    positions: Positions
    brought: Mask
    channels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.positions)

    def provenance(self, at: int) -> tuple[str, ...]:
        """The channels that brought the item at a row of `positions`."""
        return tuple(name for name, did in zip(self.channels, self.brought[at], strict=True) if did)


def retrieve(query: Query, *, limit: int) -> CandidateSet:
    """At most `limit` candidates; equal best ranks in the order of CHANNELS."""
    ranks = np.full((len(query.items), len(CHANNELS)), UNRANKED)
    for at, channel in enumerate(CHANNELS.values()):
        top = best(np.where(query.exclude, -np.inf, channel(query)), limit)
        ranks[top, at] = np.arange(len(top)) * len(CHANNELS) + at
    first = ranks.min(axis=1)
    positions = np.flatnonzero(first < UNRANKED)
    positions = positions[np.argsort(first[positions])][:limit]
    return CandidateSet(positions, ranks[positions] < UNRANKED, tuple(CHANNELS))


def best(scores: Floats, limit: int) -> Positions:
    """The positions of the `limit` highest scores above -inf, best first; equal scores by position."""
    found = np.flatnonzero(scores > -np.inf)
    if len(found) > limit:
        threshold = np.partition(scores[found], len(found) - limit)[len(found) - limit]
        found = found[scores[found] >= threshold]
    return found[np.argsort(-scores[found], kind="stable")][:limit]
