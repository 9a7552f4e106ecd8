"""Rules that are hard to beat: what sold of late, and what a user has bought before.

Reads and writes what benchmarks.peer_models.tuning says.

    python -m benchmarks.peer_models.simple popularity FOLDER OUT --seconds 300
"""

from collections.abc import Iterator

import numpy as np

from benchmarks.peer_models.known import Floats, Known, Positions
from benchmarks.peer_models.peer import Model, Peer, Scored, Setting, grid
from benchmarks.peer_models.tuning import run

PUBLISHED_DAYS = 28


def popularity(known: Known, setting: Setting) -> Iterator[Model]:
    """Distinct users in the last days."""
    users = known.popularity(setting["days"])
    yield Scored(lambda asked: np.tile(users, (len(asked), 1)), known.matrix())


def personal_frequency(known: Known, setting: Setting) -> Iterator[Model]:
    """Distinct occasions with the item, ties by popularity in the last 28 days."""
    counts = known.matrix("count")
    users = known.popularity(PUBLISHED_DAYS)
    ties = users / (1 + users.max())
    yield Scored(lambda asked: counts[asked].toarray() + ties, counts)


def frequency_and_popularity(known: Known, setting: Setting) -> Iterator[Model]:
    """Occasions that fade with time, plus what others buy of late as its share of the most popular item."""
    counts = known.matrix(setting["of"], setting["half_life_days"])
    users = known.popularity(setting["days"])
    share = setting["weight"] * users / users.max()

    def scores(asked: Positions) -> Floats:
        found: Floats = counts[asked].toarray() + share
        return found

    yield Scored(scores, counts)


DAYS = (7, 14, 28, 56, 112)
PEERS = {
    "popularity": Peer(grid({"days": PUBLISHED_DAYS}, days=DAYS), popularity),
    # As published, with nothing to tune: every score of `new` would be a tie.
    "personal_frequency": Peer([{}], personal_frequency, tasks=("all",)),
    "frequency_and_popularity": Peer(
        grid(
            {"of": "count", "half_life_days": None, "days": PUBLISHED_DAYS, "weight": 1.0},
            of=("count", "log", "one"),
            half_life_days=(None, 30, 60, 90, 180),
            days=DAYS[:4],
            weight=(0.1, 0.3, 1.0, 3.0),
        ),
        frequency_and_popularity,
    ),
}

if __name__ == "__main__":
    run(PEERS)
