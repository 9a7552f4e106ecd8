"""Personal frequency with the help of like-minded users: for those who buy the same again.

Hu, He, Gao and Zhang, "Modeling personalized item frequency information for next-basket recommendation", 2020
(TIFU-KNN): a user is a vector of items, in which older baskets count less; the prediction mixes it with the mean of
the nearest users' vectors, by Euclidean distance.

Reads and writes what benchmarks.peer_models.tuning says.

    python -m benchmarks.peer_models.next_basket tifu_knn FOLDER OUT --seconds 300
"""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from benchmarks.peer_models.known import Floats, Known, Positions
from benchmarks.peer_models.peer import Model, Peer, Scored, Setting, grid
from benchmarks.peer_models.tuning import run


def tifu_knn(known: Known, setting: Setting) -> Iterator[Model]:
    """The mix; `alpha` is the user's own share, `k` the neighbours."""
    vectors = user_vectors(
        known,
        groups=setting["groups"],
        within=setting["within"],
        across=setting["across"],
    )
    squares = vectors.multiply(vectors).sum(axis=1).A1
    somebody = np.diff(vectors.indptr) > 0

    def scores(asked: Positions) -> Floats:
        own = vectors[asked]
        distances = squares - 2.0 * (own @ vectors.T).toarray()
        distances[:, ~somebody] = np.inf
        distances[np.arange(len(asked)), asked] = np.inf
        nearest = np.argpartition(distances, setting["k"], axis=1)[:, : setting["k"]]
        rows = np.repeat(np.arange(len(asked)), setting["k"])
        mean = sp.csr_matrix(
            (np.full(nearest.size, 1.0 / setting["k"]), (rows, nearest.ravel())), (len(asked), known.n_users)
        )
        found: Floats = (setting["alpha"] * own + (1.0 - setting["alpha"]) * (mean @ vectors)).toarray()
        return found

    yield Scored(scores, known.matrix())


def user_vectors(known: Known, *, groups: int, within: float, across: float) -> sp.csr_matrix:
    """What each user buys: float64 (n_users, n_items).

    The baskets of a user, in the order of time, are cut from the latest on into `groups` of equal size, of which the
    oldest may be smaller. A basket counts `within` to the power of how many follow in its group, divided by the size
    of the group; a group `across` to the power of how many groups follow, divided by their number.
    """
    pairs = np.unique(np.column_stack([known.users, known.seconds]), axis=0)
    users = pairs[:, 0].astype(np.int64)
    counts = np.bincount(users, minlength=known.n_users)
    first = np.cumsum(counts) - counts
    from_end = counts[users] - 1 - (np.arange(len(users)) - first[users])
    size = -(-counts // groups)
    group, at = np.divmod(from_end, np.maximum(size, 1)[users])
    n_groups = -(-counts // np.maximum(size, 1))
    in_group = np.minimum(size[users], counts[users] - group * size[users])
    weights = within**at / in_group * across**group / n_groups[users]

    # The row of each interaction's basket: both are sorted by user, then by time.
    order = np.lexsort([known.items, known.seconds, known.users])
    rows = np.column_stack([known.users, known.seconds, known.items])[order]
    rows = rows[np.r_[True, np.any(rows[1:] != rows[:-1], axis=1)]]
    starts = np.r_[True, np.any(rows[1:, :2] != rows[:-1, :2], axis=1)]
    basket = np.cumsum(starts) - 1
    where = rows[:, 0].astype(np.int64), rows[:, 2].astype(np.int64)
    return sp.csr_matrix((weights[basket], where), (known.n_users, known.n_items))


PEERS = {
    "tifu_knn": Peer(
        grid(
            {"groups": 7, "within": 0.9, "across": 0.7, "alpha": 0.7, "k": 300},
            groups=(3, 7, 15, 23),
            within=(0.8, 0.9, 1.0),
            across=(0.6, 0.7, 0.8, 0.9),
            alpha=(0.3, 0.5, 0.7, 0.9),
            k=(100, 300, 600, 900),
        ),
        tifu_knn,
    ),
}

if __name__ == "__main__":
    run(PEERS)
