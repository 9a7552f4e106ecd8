"""How much of what users then chose is among the candidates, and which channel brought it.

What no channel brings cannot be ranked: the recall of the candidates is the most that the ranker can reach.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from features.recommender import Recommender
from recsys.progress import progress
from recsys.retrieval import CandidateSet
from recsys.state import Mask, UserState

CANDIDATES_AT: Final = 300
"""Whatever the project is configured for, so that projects can be compared."""

Asked = tuple[UserState, Mask, frozenset[int]]
"""A user, the items that may not be ranked, bool (n_items,), and those that the user then chose, at least one."""


def candidate_recall(
    task: str, recommender: Recommender, asked: Sequence[Asked], candidates: Sequence[CandidateSet]
) -> dict[str, Any]:
    """What training.report.Candidates describes, of one task.

    candidates  those that the recommender gave for each of `asked`
    """
    relevant = [chosen for _, _, chosen in asked]
    return {
        "candidates": recommender.limit,
        "recall": recall(candidates, relevant),
        f"recall@{CANDIDATES_AT}": recall(_at_300(task, recommender, asked, candidates), relevant),
        "channels": channel_recall(candidates, relevant),
    }


def recall(candidates: Sequence[CandidateSet], relevant: Sequence[frozenset[int]]) -> float:
    """Mean over users of the share of the relevant items that is among the candidates."""
    shares = [
        np.isin(found.positions, list(chosen)).sum() / len(chosen)
        for found, chosen in zip(candidates, relevant, strict=True)
    ]
    return float(np.mean(shares))


def channel_recall(
    candidates: Sequence[CandidateSet], relevant: Sequence[frozenset[int]]
) -> dict[str, dict[str, float]]:
    """For each channel the mean share of the relevant items that it brought, and that nobody else brought."""
    names = candidates[0].channels
    shares = np.zeros((len(candidates), len(names), 2))
    for row, (found, chosen) in enumerate(zip(candidates, relevant, strict=True)):
        brought = found.brought[np.isin(found.positions, list(chosen))]
        shares[row, :, 0] = brought.sum(axis=0)
        shares[row, :, 1] = brought[brought.sum(axis=1) == 1].sum(axis=0)
        shares[row] /= len(chosen)
    means = shares.mean(axis=0)
    return {name: {"recall": float(means[at, 0]), "alone": float(means[at, 1])} for at, name in enumerate(names)}


def _at_300(
    task: str, recommender: Recommender, asked: Sequence[Asked], candidates: Sequence[CandidateSet]
) -> Sequence[CandidateSet]:
    """What the merge gives when it is asked for so many."""
    if recommender.limit == CANDIDATES_AT:
        return candidates
    wanted, found = replace(recommender, limit=CANDIDATES_AT), []
    with progress(f"measuring {CANDIDATES_AT} candidates on {task}", len(asked)) as advance:
        for user, exclude, _ in asked:
            found.append(wanted.candidates(user, exclude, wanted.signals(user)))
            advance()
    return found
