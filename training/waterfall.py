"""What each retrieval channel adds to the candidates, one after another in the order of the merge."""

from collections.abc import Sequence

import numpy as np

from recsys.retrieval import CandidateSet


def waterfall(candidates: Sequence[CandidateSet], relevant: Sequence[frozenset[int]]) -> list[dict[str, str | float]]:
    """For each channel in the order of the merge the mean share of the relevant items that it `adds`: those that are
    candidates, and that it brought and no channel before it. Together they are the recall of the candidates."""
    names = candidates[0].channels
    adds = np.zeros(len(names))
    for one, wanted in zip(candidates, relevant, strict=True):
        brought = one.brought[np.isin(one.positions, list(wanted))]
        first = brought.argmax(axis=1)  # every candidate was brought by some channel
        adds += np.bincount(first, minlength=len(names)) / len(wanted)
    adds /= len(candidates)
    return [{"channel": name, "adds": float(share)} for name, share in zip(names, adds, strict=True)]
