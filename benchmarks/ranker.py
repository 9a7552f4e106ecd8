"""How fast are candidates scored: the trees of the ranker on ONNX Runtime against LightGBM, both on one thread.

Writes  OUT

    python -m benchmarks.ranker --json ranker.json

The trees are learned from made-up rows with values missing, in the shape of the default settings and in a larger one.
The floor compares as many numbers in the cache as splits are visited: what the walk would cost if it never waited.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click
import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Table, claim, interleaved, print_table, write_result
from recsys.bundle_files import RANKER_ONNX_FILE
from recsys.config import Ranker
from recsys.trees import OnnxTrees
from training.export_ranker import export_ranker
from training.ranker import train_ranker
from training.ranker_rows import RankerRows

FEATURES = 130
OF_USER = 45
"""Of the features so many are those of the user: the same in all rows of a request."""

ROWS = 500
RUNS = 31
PEER = "LightGBM"
OURS = "ONNX Runtime"
MISSING = 0.2
TRAINING_GROUPS, CANDIDATES = 200, 50


class Shape(NamedTuple):
    trees: int
    leaves: int


SHAPES = (Shape(400, 15), Shape(300, 63))
QUICK_SHAPES = (Shape(5, 7),)


@click.command()
@click.option("--quick", is_flag=True, help="A few trees, no claims: for the tests")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Where the result is written")
def main(quick: bool, out: Path | None) -> None:
    """Measure, print a table, write the result."""
    shapes, runs = (QUICK_SHAPES, 1) if quick else (SHAPES, RUNS)
    measured = {f"{shape.trees} trees of {shape.leaves} leaves": measure(shape, runs) for shape in shapes}
    claims = {}
    if not quick:
        # Of the shapes the one that gains least.
        slowest = min(found["times_as_fast"] for found in measured.values())
        claims["score500_vs_booster"] = claim(slowest, 1.8, "×")
    rows = [
        (name, contestant, milliseconds, found["milliseconds"][PEER] / milliseconds)
        for name, found in measured.items()
        for contestant, milliseconds in found["milliseconds"].items()
    ]
    title = f"Scoring {ROWS} rows of {FEATURES} features"
    print_table(Table(title, ("trees", "with", "ms", f"× {PEER}"), rows), claims)
    if out is not None:
        write_result(out, "ranker", claims, {"threads": 1, "rows": ROWS, "features": FEATURES, **measured})


def measure(shape: Shape, runs: int) -> dict[str, Any]:
    """Milliseconds of every contestant on rows that the trees have not seen."""
    booster = trained(shape)
    matrix = request_rows(np.random.default_rng(1))
    with TemporaryDirectory() as name:
        export_ranker(booster, matrix, Path(name), sample=ROWS, seed=0)
        onnx = OnnxTrees(Path(name) / RANKER_ONNX_FILE)
    visits = splits_visited(booster, matrix)
    left, right = np.zeros(visits, dtype=np.float32), np.ones(visits, dtype=np.float32)
    double = matrix.astype(np.float64)
    contestants: dict[str, Callable[[], object]] = {
        # LightGBM reads both types, and checks the shape of a matrix; the fastest way is the peer.
        f"{PEER}, float32": lambda: booster.predict(matrix, num_threads=1),
        f"{PEER}, float64": lambda: booster.predict(double, num_threads=1),
        f"{PEER}, unchecked": lambda: booster.predict(
            matrix, num_threads=1, raw_score=True, predict_disable_shape_check=True
        ),
        OURS: lambda: onnx.predict(matrix),
        "floor": lambda: left <= right,
    }
    seconds = interleaved(contestants, runs=runs)
    peer = min((name for name in seconds if name.startswith(PEER)), key=seconds.__getitem__)
    milliseconds = {PEER: 1e3 * seconds[peer], OURS: 1e3 * seconds[OURS], "floor": 1e3 * seconds["floor"]}
    return {
        "trees": booster.num_trees(),
        "splits_visited": visits,
        "difference": float(np.abs(onnx.predict(matrix) - booster.predict(matrix)).max()),
        "milliseconds": milliseconds,
        "fastest_of_lightgbm": peer,
        "all_milliseconds": {name: 1e3 * taken for name, taken in seconds.items()},
        "times_as_fast": milliseconds[PEER] / milliseconds[OURS],
        "times_as_fast_in_cpu_seconds": cpu_seconds(contestants[peer], runs) / cpu_seconds(contestants[OURS], runs),
        "nanoseconds_a_split": {name: 1e6 * taken / visits for name, taken in milliseconds.items()},
    }


def cpu_seconds(run: Callable[[], object], runs: int) -> float:
    """The median of what this thread works, whoever else takes turns on its core."""
    found = []
    for _ in range(runs):
        started = time.thread_time()
        run()
        found.append(time.thread_time() - started)
    return median(found)


def trained(shape: Shape) -> lgb.Booster:
    """Trees of this shape, from groups in which some features and some pairs of them decide."""
    random = np.random.default_rng(0)
    matrix = np.concatenate([request_rows(random, CANDIDATES) for _ in range(TRAINING_GROUPS)])
    known = np.nan_to_num(matrix)
    interest = known @ random.normal(size=FEATURES) + 5 * np.sin(3 * known[:, -1] * known[:, 0])
    wanted = (interest + 5 * random.normal(size=len(known))).reshape(TRAINING_GROUPS, CANDIDATES)
    places = np.argsort(np.argsort(-wanted, axis=1), axis=1)
    gains = np.maximum(3 - places, 0).astype(np.int32).ravel()
    rows = RankerRows(matrix, gains, np.full(TRAINING_GROUPS, CANDIDATES))
    names = [f"feature_{at}" for at in range(FEATURES)]
    return train_ranker(rows, None, names, Ranker(trees=shape.trees, leaves=shape.leaves)).trees


def request_rows(random: np.random.Generator, rows: int = ROWS) -> NDArray[np.float32]:
    """The candidates of a request, float32 (rows, FEATURES): measures, and counts in every third column."""
    matrix = random.normal(size=(rows, FEATURES))
    matrix[:, :OF_USER] = matrix[0, :OF_USER]
    matrix[:, ::3] = np.round(np.exp(matrix[:, ::3]))
    matrix[random.random(matrix.shape) < MISSING] = np.nan
    return matrix.astype(np.float32)


def splits_visited(booster: lgb.Booster, matrix: NDArray[np.float32]) -> int:
    """By all rows in all trees."""
    leaves = np.asarray(booster.predict(matrix, pred_leaf=True), dtype=np.int64).reshape(len(matrix), -1)
    visited = 0
    for tree, reached in zip(booster.dump_model()["tree_info"], leaves.T, strict=True):
        depth_of = dict(leaf_depths(tree["tree_structure"]))
        visited += sum(depth_of[leaf] for leaf in reached.tolist())
    return visited


def leaf_depths(node: dict[str, Any], depth: int = 0) -> Iterator[tuple[int, int]]:
    """Every leaf below a node, and the splits above it."""
    if "leaf_value" in node:
        yield node.get("leaf_index", 0), depth
    else:
        yield from leaf_depths(node["left_child"], depth + 1)
        yield from leaf_depths(node["right_child"], depth + 1)


if __name__ == "__main__":
    main()
