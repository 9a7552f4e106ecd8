"""The ranked list of each case of an evaluation: by scores of the whole catalogue, or by retrieval and ranker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from features.recommender import Ranker, Recommender, by_score
from recsys.progress import progress
from recsys.retrieval import CandidateSet
from recsys.retrieval.merge import best
from recsys.state import Floats, Positions, UserState
from training.ranker import score_all
from training.yardstick import Case

USERS_AT_ONCE = 64


@dataclass(frozen=True)
class Ranked:
    """The candidates of a user and beside each its score."""

    candidates: CandidateSet
    scores: Floats

    def first(self, depth: int) -> Positions:
        """The items of the highest scores, best first: int64 (at most `depth`,)."""
        return self.candidates.positions[by_score(self.scores)][:depth]


def lists_by_scores(
    what: str, scores: Callable[[UserState], Floats], cases: Sequence[Case], depth: int
) -> list[Positions]:
    """The best `depth` items of each case by scores of the whole catalogue, best first; `what` is told as progress."""
    top = []
    with progress(f"measuring {what}", len(cases)) as advance:
        for case in cases:
            top.append(best(np.where(case.exclude, -np.inf, scores(case.user)), depth))
            advance()
    return top


def rank_cases(what: str, recommender: Recommender, booster: Ranker, cases: Sequence[Case]) -> list[Ranked]:
    """The candidates of each case with the scores of the ranker; `what` is told as progress."""
    ranked: list[Ranked] = []
    with progress(f"measuring {what}", len(cases)) as advance:
        for start in range(0, len(cases), USERS_AT_ONCE):
            part = [
                recommender.prepare(case.user, case.exclude, recommender.signals(case.user))
                for case in cases[start : start + USERS_AT_ONCE]
            ]
            for one, scores in zip(part, score_all(booster, part), strict=True):
                ranked.append(Ranked(one.candidates, scores))
            advance(len(part))
    return ranked
