"""Indices of faiss, usearch and hnswlib, which search for single vectors: here for each item of a history.

The nearest of each are scored by interest like what the engine's own index finds: some tens of searches a request, and
thousands of items to score.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import faiss
import hnswlib
import numpy as np
from usearch.index import Index

from recsys.interest import Vectors
from recsys.state import Positions, UserState

LINKS: Final = 16
"""Of an item in a graph, in each direction; twice as many in the lowest layer."""
BUILD_BREADTH: Final = 100
NEAREST: Final = (100, 300)
"""Of each item of the history."""
HISTORY_ITEMS: Final = 100
RUNS: Final = 3

Search = Callable[[Vectors, int], Positions]
"""Vectors and how many are wanted of each → their positions, (n, wanted)."""
Score = Callable[[UserState, Positions], Positions]


def faiss_index(description: str, breadth: dict[str, int], vectors: Vectors) -> tuple[Search, Callable[[Path], None]]:
    """An index of the factory of faiss; `breadth` are parameters of its search."""
    index = faiss.index_factory(vectors.shape[1], description.format(cells=int(4 * np.sqrt(len(vectors)))))
    index.train(vectors[:: max(1, len(vectors) // 100_000)])
    index.add(vectors)
    for name, value in breadth.items():
        faiss.ParameterSpace().set_index_parameter(index, name, value)
    return lambda wanted, k: index.search(wanted, k)[1], lambda path: faiss.write_index(index, str(path))


def usearch_index(dtype: str, vectors: Vectors) -> tuple[Search, Callable[[Path], None]]:
    """A graph of usearch over numbers of this kind."""
    metric = "hamming" if dtype == "b1" else "cos"
    given = _bits if dtype == "b1" else _as_they_are
    dimension = vectors.shape[1]
    index = Index(ndim=dimension, metric=metric, dtype=dtype, connectivity=LINKS, expansion_add=BUILD_BREADTH)
    index.expansion_search = max(NEAREST)
    index.add(np.arange(len(vectors)), given(vectors))
    return lambda wanted, k: np.atleast_2d(index.search(given(wanted), k).keys).astype(np.int64), index.save


def hnswlib_index(vectors: Vectors) -> tuple[Search, Callable[[Path], None]]:
    """The graph of hnswlib."""
    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), ef_construction=BUILD_BREADTH, M=LINKS)
    index.add_items(vectors)
    index.set_ef(max(NEAREST))
    return (
        lambda wanted, k: index.knn_query(wanted, k)[0].astype(np.int64),
        lambda path: index.save_index(str(path)),
    )


def _bits(vectors: Vectors) -> np.ndarray:
    return np.packbits(vectors > 0, axis=1)


def _as_they_are(vectors: Vectors) -> Vectors:
    return vectors


LIBRARIES: Final[dict[str, Callable[[Vectors], tuple[Search, Callable[[Path], None]]]]] = {
    "faiss HNSW": partial(faiss_index, f"HNSW{LINKS}", {"efSearch": max(NEAREST)}),
    "faiss IVF": partial(faiss_index, "IVF{cells},Flat", {"nprobe": 32}),
    "faiss IVF int8": partial(faiss_index, "IVF{cells},SQ8", {"nprobe": 32}),
    "faiss IVF-PQ": partial(faiss_index, "IVF{cells},PQ96x4fs", {"nprobe": 32}),
    "faiss IVF-RaBitQ": partial(faiss_index, "IVF{cells},RaBitQ", {"nprobe": 32}),
    "usearch f16": partial(usearch_index, "f16"),
    "usearch i8": partial(usearch_index, "i8"),
    "usearch b1": partial(usearch_index, "b1"),
    "hnswlib": hnswlib_index,
}


def measured(
    vectors: Vectors, users: list[UserState], truth: list[Positions], score: Score
) -> dict[str, dict[str, dict[str, Any]]]:
    """Every library of LIBRARIES, one after the other; each is said as soon as it is done."""
    found = {}
    for name in LIBRARIES:
        found[name] = measure_library(name, vectors, users, truth, score)
        print(name, found[name], flush=True)
    return found


def measure_library(
    name: str, vectors: Vectors, users: list[UserState], truth: list[Positions], score: Score
) -> dict[str, dict[str, Any]]:
    """Recall, times and size, by how many of the nearest of each item are scored."""
    started = time.perf_counter()
    search, save = LIBRARIES[name](vectors)
    seconds = time.perf_counter() - started
    with TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        save(path)
        size = path.stat().st_size / 1e6
    found = {}
    for count in NEAREST:
        shares, taken = [], []
        for user, best in zip(users, truth, strict=True):
            wanted = vectors[user.history[:HISTORY_ITEMS]]
            times = []
            for _ in range(RUNS):
                at = time.perf_counter()
                near = np.unique(search(wanted, min(count, len(vectors))))
                answer = score(user, near[near >= 0])
                times.append(time.perf_counter() - at)
            shares.append(float(np.isin(best, answer).mean()))
            taken.append(1000 * float(np.median(times)))
        p50, p99 = np.percentile(taken, [50, 99])
        figures = {"recall": float(np.mean(shares)), "p50_ms": float(p50), "p99_ms": float(p99)}
        found[f"{count} of each"] = {**figures, "build_s": seconds, "mb": size}
    return found
