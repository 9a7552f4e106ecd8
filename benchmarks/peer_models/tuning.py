"""Tune a peer on the days before the cut, within a budget; let the best learn all that is known; write its lists.

Reads   FOLDER, as benchmarks.peers_split writes it
Writes  OUT/ranked_TASK.npy, int64 (n_users, 100), in the order of FOLDER/users_TASK.parquet
Prints  {"tune_seconds", "trials", "peak_mb", "tasks": {TASK: {"setting", "steps", "validation_ndcg", "fit_seconds",
        "ms_per_user"}}}

    python -m benchmarks.peer_models.of_implicit als FOLDER OUT --seconds 300
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.peak_memory import peak_memory_mb
from benchmarks.peer_models.known import Known, Positions
from benchmarks.peer_models.peer import Model, Peer, Setting
from recsys.metrics import NDCG_AT, RECALL_AT, per_user_metrics

TOP = max(RECALL_AT)

PATIENCE = 3
"""Steps of learning without a better ndcg, in any task, after which the next setting is tried."""

SHARE = 1 / 3
"""Of the budget, that a setting may take which goes on learning: no peer is judged by a single one."""


@dataclass(frozen=True)
class Asked:
    """The users of a task in the days before the cut, int64 (n,), and what each chose then."""

    users: Positions
    relevant: list[frozenset[int]]

    def ndcg(self, model: Model, *, seen: bool) -> float:
        """ndcg@10, mean over the users."""
        top = model.top(self.users, seen=seen, limit=NDCG_AT)
        return float(per_user_metrics(top, self.relevant)[f"ndcg@{NDCG_AT}"].mean())


@dataclass(frozen=True)
class Trial:
    """A setting, how many steps it had learned, and ndcg@10 on the days before the cut by task."""

    setting: Setting
    steps: int
    ndcg: Mapping[str, float]


def tune(peer: Peer, known: Known, asked: Mapping[str, Asked], seconds: float) -> list[Trial]:
    """Try one setting after another until the time is over; a step of learning that has begun is brought to its end."""
    trials: list[Trial] = []
    end = time.monotonic() + seconds
    for setting in peer.settings:
        until = min(end, time.monotonic() + SHARE * seconds)
        best = dict.fromkeys(asked, -1.0)
        better_at = 0
        for steps, model in enumerate(peer.learn(known, setting), 1):
            ndcg = {task: cases.ndcg(model, seen=task == "all") for task, cases in asked.items()}
            trials.append(Trial(setting, steps, ndcg))
            if any(ndcg[task] > best[task] for task in asked):
                better_at = steps
            best = {task: max(ndcg[task], best[task]) for task in asked}
            if steps - better_at >= PATIENCE or time.monotonic() > until:
                break
        if time.monotonic() > end:
            break
    return trials


def run(peers: Mapping[str, Peer]) -> None:
    """The command of a library: tune one of its peers, print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=list(peers))
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    print(json.dumps(fit(peers[given.peer], given.folder, given.out, seconds=given.seconds)))


def fit(peer: Peer, folder: Path, out: Path, *, seconds: float) -> dict[str, Any]:
    """Tune, learn anew from all that is known before the cut under the best setting of each task, and recommend."""
    known = Known.read(folder)
    started = time.monotonic()
    validation = json.loads((folder / "split.json").read_text())["validation"]
    asked = {task: _asked(folder / f"validation_{task}.parquet") for task in peer.tasks}
    trials = tune(peer, known.before(validation), asked, seconds)
    tune_seconds = time.monotonic() - started
    tasks: dict[str, Any] = {}
    models: dict[int, tuple[Model, float]] = {}
    out.mkdir(parents=True, exist_ok=True)
    for task in peer.tasks:
        at = max(range(len(trials)), key=lambda at: trials[at].ndcg[task])
        best = trials[at]
        if at not in models:
            started = time.monotonic()
            models[at] = next(islice(peer.learn(known, best.setting), best.steps - 1, None)), time.monotonic() - started
        model, fit_seconds = models[at]
        users = pq.read_table(folder / f"users_{task}.parquet")["user"].to_numpy()
        started = time.monotonic()
        ranked = model.top(users, seen=task == "all", limit=TOP)
        per_user = (time.monotonic() - started) / len(users)
        np.save(out / f"ranked_{task}.npy", ranked)
        tasks[task] = {
            "setting": best.setting,
            "steps": best.steps,
            "validation_ndcg": best.ndcg[task],
            "fit_seconds": fit_seconds,
            "ms_per_user": 1000 * per_user,
        }
    return {
        "tune_seconds": tune_seconds,
        "trials": len({json.dumps(trial.setting) for trial in trials}),
        "peak_mb": peak_memory_mb(),
        "tasks": tasks,
    }


def _asked(path: Path) -> Asked:
    table = pq.read_table(path)
    return Asked(table["user"].to_numpy(), [frozenset(items) for items in table["relevant"].to_pylist()])
