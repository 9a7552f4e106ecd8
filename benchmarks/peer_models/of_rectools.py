"""RecTools: SASRec and BERT4Rec, transformers over the sequence of what a user chose. A step of learning is an epoch.

Reads and writes what benchmarks.peer_models.tuning says.

    python -m benchmarks.peer_models.of_rectools sasrec FOLDER OUT --seconds 300
"""

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from pytorch_lightning import seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import BERT4RecModel, SASRecModel
from rectools.models.nn.transformers.ligr import LiGRLayers

from benchmarks.peer_models.known import Known, Positions
from benchmarks.peer_models.peer import Model, Peer, Setting, grid
from benchmarks.peer_models.tuning import run
from recsys.metrics import NO_ITEM


@dataclass(frozen=True)
class Fitted:
    """A model of RecTools, and the sequences that it recommends after."""

    model: Any
    dataset: Dataset

    def top(self, users: Positions, *, seen: bool, limit: int) -> Positions:
        """As a Model, in batches of the library's own; a user too short a history for it gets an empty list."""
        found = self.model.recommend(
            users, self.dataset, k=limit, filter_viewed=not seen, on_unsupported_targets="ignore"
        )
        top = np.full((len(users), limit), NO_ITEM, dtype=np.int64)
        rows = np.searchsorted(users, found[Columns.User].to_numpy())
        top[rows, found[Columns.Rank].to_numpy() - 1] = found[Columns.Item].to_numpy()
        return top


def transformer(kind: type, known: Known, setting: Setting) -> Iterator[Model]:
    """One epoch after another (published: 3); `ligr` is the other kind of layers that the library has."""
    interactions = pd.DataFrame(
        {
            Columns.User: known.users,
            Columns.Item: known.items,
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(known.seconds, unit="s"),
        }
    )
    dataset = Dataset.construct(interactions)
    own = {name: value for name, value in setting.items() if name != "ligr"}
    layers = {"transformer_layers_type": LiGRLayers} if setting.get("ligr") else {}
    seed_everything(0, verbose=False)
    model = kind(epochs=1, **own, **layers)
    while True:
        model.fit_partial(dataset, min_epochs=1, max_epochs=1)
        yield Fitted(model, dataset)


SMALL = {"n_factors": 64, "n_heads": 2, "lr": 0.003, "session_max_len": 50}
SIZES = grid(
    {},
    n_factors=(64, 128),
    n_heads=(2,),
    lr=(0.001, 0.003),
    dropout_rate=(0.2, 0.4),
    session_max_len=(50, 100, 200),
)
# eSASRec of the same authors: LiGR layers and a sampled softmax.
ESASREC = {**SMALL, "ligr": True, "loss": "sampled_softmax", "n_negatives": 64}
PEERS = {
    "sasrec": Peer([{}, SMALL, ESASREC, *SIZES[1:]], partial(transformer, SASRecModel)),
    "bert4rec": Peer([{}, SMALL, {**SMALL, "mask_prob": 0.3}, *SIZES[1:]], partial(transformer, BERT4RecModel)),
}

if __name__ == "__main__":
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")  # of the libraries among one another, a page an epoch
    run(PEERS)
