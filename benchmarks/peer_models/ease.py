"""EASE in its closed form: Steck, "Embarrassingly shallow autoencoders for sparse data", 2019.

`ease` is as published. In `ease_weighted` what a user bought counts by how often and how long ago. Both say nothing of
an item by itself, their diagonal is zero: `ease_and_frequency` adds what the user bought before, for who buys again.

Reads and writes what benchmarks.peer_models.tuning says.

    python -m benchmarks.peer_models.ease ease FOLDER OUT --seconds 300
"""

from collections.abc import Iterator

import scipy.sparse as sp

from benchmarks.peer_models.known import Floats, Known, Positions
from benchmarks.peer_models.peer import Model, Peer, Scored, Setting, grid
from benchmarks.peer_models.tuning import run
from features.regression import ease as closed_form


def ease(known: Known, setting: Setting) -> Iterator[Model]:
    """The regression alone."""
    chosen = known.matrix(setting["of"], setting["half_life_days"])
    weights = closed_form(sp.csr_array(chosen), setting["penalty"])
    yield Scored(lambda users: chosen[users] @ weights, chosen)


def ease_and_frequency(known: Known, setting: Setting) -> Iterator[Model]:
    """The regression, and the occasions with the item itself."""
    chosen = known.matrix(setting["of"], setting["half_life_days"])
    weights = closed_form(sp.csr_array(chosen), setting["penalty"])
    own = known.matrix("count", setting["own_half_life_days"]) * setting["own"]

    def scores(users: Positions) -> Floats:
        found: Floats = chosen[users] @ weights + own[users].toarray()
        return found

    yield Scored(scores, chosen)


PENALTIES = (20.0, 50.0, 100.0, 200.0, 300.0, 500.0, 1000.0, 2000.0)
HALF_LIVES = (None, 15, 30, 60, 120, 240)
PUBLISHED = {"of": "one", "half_life_days": None, "penalty": 300.0}
PEERS = {
    "ease": Peer(grid(PUBLISHED, of=("one",), half_life_days=(None,), penalty=PENALTIES), ease),
    "ease_weighted": Peer(grid(PUBLISHED, of=("one", "log"), half_life_days=HALF_LIVES, penalty=PENALTIES), ease),
    "ease_and_frequency": Peer(
        grid(
            {**PUBLISHED, "own": 0.3, "own_half_life_days": None},
            of=("one", "log"),
            half_life_days=(None, 60, 120, 240),
            penalty=PENALTIES[1:-1],
            own=(0.03, 0.1, 0.3, 1.0),
            own_half_life_days=(None, 60, 120),
        ),
        ease_and_frequency,
    ),
}

if __name__ == "__main__":
    run(PEERS)
