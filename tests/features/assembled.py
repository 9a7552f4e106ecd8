"""A feature matrix in one call."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.assembler import Assembly
from features.featureset import FeatureSet
from features.topics import Topics
from recsys.interest import Vectors
from recsys.retrieval.from_history import FromHistory
from recsys.state import ItemState, Positions, UserState


class OfText(NamedTuple):
    """What a text model adds: its signals, float32 (n_candidates, n_signals), and the topics of the items."""

    signals: Vectors
    topics: Topics


def assemble(
    features: FeatureSet, user: UserState, items: ItemState, candidates: Positions, text: OfText | None
) -> NDArray[np.float32]:
    """float32 (n_candidates, n_features); `text` None: behaviour alone."""
    signals, topics = (None, None) if text is None else text
    return Assembly(features, user, items, candidates, topics, FromHistory(user, items)).matrix(signals)
