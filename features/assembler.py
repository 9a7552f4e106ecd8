"""The one feature matrix: item, user and crosses of both, the same code for training and for serving.

A row is a candidate, a column a feature of FeatureSet.names in that order; what is not known is NaN. What the columns
are, and how each is computed, stands in features.families.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.families import FAMILIES
from features.families.family import Request
from features.featureset import FeatureSet
from features.topics import Topics
from recsys.interest import Vectors
from recsys.retrieval.from_history import FromHistory
from recsys.state import ItemState, Positions, UserState


@dataclass(frozen=True)
class OfText:
    """What a text model adds to the matrix.

    signals  float32 (n_candidates, n_signals), interest by text in each candidate and its standing
    topics   of the moment of the items
    """

    signals: Vectors
    topics: Topics


def assemble(
    features: FeatureSet,
    user: UserState,
    items: ItemState,
    candidates: Positions,
    text: OfText | None,
    from_history: FromHistory | None = None,
) -> NDArray[np.float32]:
    """float32 (n_candidates, n_features) in the order of features.names; `text` None: behaviour alone.

    candidates    int64 (n_candidates,)
    from_history  where they were retrieved for the same user, what was computed for that
    """
    from_history = from_history or FromHistory(user, items)
    request = Request(features.project, user, features.user_columns, items, candidates, from_history)
    with np.errstate(divide="ignore", invalid="ignore"):
        blocks: list[NDArray[np.floating]] = [family.values(request) for family in FAMILIES]
    if text is not None:
        of_topics = text.topics.features(user, items.now, request.cooccurrence[0], from_history.successors, candidates)
        blocks += [text.signals, np.stack(of_topics, axis=1)]
    matrix = np.empty((len(candidates), sum(block.shape[-1] for block in blocks)), dtype=np.float32)
    at = 0
    for block in blocks:
        matrix[:, at : (at := at + block.shape[-1])] = block
    return matrix
