"""Ours among the peers, in a process of its own: train what the project has not trained yet, and recommend.

Reads   PROJECT, an imported project; SPLIT/users_TASK.parquet, as benchmarks.peers_split writes it
Writes  PROJECT/features, PROJECT/cache; OUT/ranked_TASK.npy, int64 (n_users, 100) in the order of the users
Prints  {"peak_mb", "tasks": {TASK: {"fit_seconds", "ms_per_user"}}}

Nothing is tuned here: the settings are those of the configuration. What was trained before is not trained again, and
its seconds are those that it took then. Users are recommended to in batches of 64, as training.evaluate does; what is
known of them is in memory, as it is for the peers.

    python -m benchmarks.peers_recsys PROJECT SPLIT OUT
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.peak_memory import peak_memory_mb
from benchmarks.peers_split import TASKS
from features.recommender import Ranker, Recommender, by_score
from recsys.metrics import NO_ITEM, RECALL_AT
from recsys.schema import USER_ID
from recsys.state import Positions, UserState
from recsys.workspace import Workspace
from training.pipeline import Pipeline
from training.ranker import score_all

TOP = max(RECALL_AT)
USERS_AT_ONCE = 64
STAGES = ("features", "text", "ranker")


def main(project: Path, split: Path, out: Path) -> None:
    """Train, recommend, print the cost."""
    workspace = Workspace.open(project / "recsys.toml")
    print(json.dumps(fit(Pipeline(workspace, cut=workspace.config.split.test_start), split, out)))


def fit(pipeline: Pipeline, split: Path, out: Path) -> dict[str, Any]:
    """Train, and write the lists of every task."""
    pipeline.compute_features()
    window = pipeline.window(pipeline.cut, None)
    recommender = pipeline.recommender(window.items, pipeline.text.scorer(pipeline.cut))
    ranker = pipeline.ranker(with_text=True)
    states = dict(zip(window.users, window.states, strict=True))
    # A project that was trained before has its features already: how long they took, and how much memory all took, is
    # in the report of then.
    report = pipeline.workspace.root / "report.json"
    before = json.loads(report.read_text()) if report.exists() else {"seconds": {}, "peak_memory_mb": 0.0}
    fit_seconds = sum(max(pipeline.stages.seconds[name], before["seconds"].get(name, 0.0)) for name in STAGES)
    out.mkdir(parents=True, exist_ok=True)
    tasks = {}
    for task in TASKS:
        users = [states[user] for user in pl.read_parquet(split / f"users_{task}.parquet")[USER_ID]]
        started = time.perf_counter()
        ranked = top(recommender, ranker, users, seen=task == "all")
        ms = 1000 * (time.perf_counter() - started) / len(users)
        np.save(out / f"ranked_{task}.npy", ranked)
        tasks[task] = {"fit_seconds": fit_seconds, "ms_per_user": ms}
    return {"peak_mb": max(peak_memory_mb(), before["peak_memory_mb"]), "tasks": tasks}


def top(recommender: Recommender, ranker: Ranker, users: list[UserState], *, seen: bool) -> Positions:
    """Items for each user, best first: int64 (n_users, 100); without what the user had, unless `seen`."""
    found = np.full((len(users), TOP), NO_ITEM, dtype=np.int64)
    for start in range(0, len(users), USERS_AT_ONCE):
        part = users[start : start + USERS_AT_ONCE]
        prepared = [
            recommender.prepare(
                user, recommender.nothing() if seen else recommender.seen(user), recommender.signals(user)
            )
            for user in part
        ]
        for row, one, scores in zip(found[start:], prepared, score_all(ranker, prepared), strict=False):
            items = one.candidates.positions[by_score(scores)][:TOP]
            row[: len(items)] = items
    return found


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:]))
