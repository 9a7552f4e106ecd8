import json
from dataclasses import dataclass
from itertools import count

import numpy as np
import polars as pl
import pytest

from benchmarks.peer_models import tuning
from benchmarks.peer_models.known import SECONDS_A_DAY
from benchmarks.peer_models.peer import Peer
from benchmarks.peer_models.tuning import Asked, fit, tune
from tests.benchmarks.peer_models.shoppers import known_of


@dataclass(frozen=True)
class Always:
    """Recommends two items, the same to everybody, in one order on each task."""

    all: int
    new: int

    def top(self, users, *, seen, limit):
        best = self.all if seen else self.new
        return np.tile([best, 1 - best], (len(users), 1))


KNOWN = known_of((0, 0, 0), (0, 1, 5), now=10)
ASKED = {task: Asked(np.array([0]), [frozenset({1})]) for task in ("all", "new")}


def test_every_step_of_every_setting_is_tried_until_nothing_gets_better():
    def learn(known, setting):
        # Better on `new` in the second step, and never again.
        yield Always(0, 0)
        yield Always(0, 1)
        while True:
            yield Always(0, 0)

    trials = tune(Peer([{"a": 1}, {"a": 2}], learn), KNOWN, ASKED, seconds=60)
    steps = 2 + tuning.PATIENCE
    assert [(trial.setting["a"], trial.steps) for trial in trials] == [(a, n + 1) for a in (1, 2) for n in range(steps)]
    assert [trial.ndcg["new"] for trial in trials[:3]] == pytest.approx([1 / np.log2(3), 1.0, 1 / np.log2(3)])


def test_when_the_time_is_over_no_other_setting_is_tried(monkeypatch):
    # The clock goes on by a second whenever it is read: at the start, before and after each setting.
    clock = count()
    monkeypatch.setattr(tuning.time, "monotonic", lambda: float(next(clock)))
    peer = Peer([{"a": at} for at in range(100)], lambda known, setting: iter([Always(0, 0)]))
    few = len(tune(peer, KNOWN, ASKED, seconds=10))
    assert 1 < few < 10


def test_a_setting_that_always_gets_better_leaves_time_for_others(monkeypatch):
    clock = count()
    monkeypatch.setattr(tuning.time, "monotonic", lambda: float(next(clock)))
    rising = count()
    monkeypatch.setattr(Asked, "ndcg", lambda self, model, seen: float(next(rising)))
    peer = Peer([{"a": at} for at in range(100)], lambda known, setting: (Always(0, 0) for _ in count()))
    assert {trial.setting["a"] for trial in tune(peer, KNOWN, ASKED, seconds=60)} == {0, 1, 2}


def test_each_task_has_its_best_setting_which_learns_anew_from_all_that_is_known(tmp_path):
    learned = []

    def learn(known, setting):
        for step in (1, 2):
            learned.append((len(known.items), setting["a"], step))
            yield Always(all=int(setting["a"] == "x" and step == 2), new=int(setting["a"] == "y"))

    split, out = tmp_path / "split", tmp_path / "out"
    split.mkdir()
    about = {"n_users": 1, "n_items": 2, "validation": 5 * SECONDS_A_DAY, "cut": 10 * SECONDS_A_DAY}
    (split / "split.json").write_text(json.dumps(about))
    days = pl.Series([0.0, 5.0])
    interactions = pl.DataFrame({"user": [0, 0], "item": [0, 1], "seconds": days * SECONDS_A_DAY})
    interactions.write_parquet(split / "interactions.parquet")
    for task in ("all", "new"):
        pl.DataFrame({"user": [0], "relevant": [[1]]}).write_parquet(split / f"validation_{task}.parquet")
        pl.DataFrame({"user": [0]}).write_parquet(split / f"users_{task}.parquet")

    found = fit(Peer([{"a": "x"}, {"a": "y"}], learn), split, out, seconds=60)
    chosen = {task: (of["setting"]["a"], of["steps"], of["validation_ndcg"]) for task, of in found["tasks"].items()}
    assert chosen == {"all": ("x", 2, 1.0), "new": ("y", 1, 1.0)}
    assert found["trials"] == 2
    # Tuned on the one interaction before the days of validation, fitted on both.
    assert learned == [(1, "x", 1), (1, "x", 2), (1, "y", 1), (1, "y", 2), (2, "x", 1), (2, "x", 2), (2, "y", 1)]
    assert np.load(out / "ranked_all.npy").tolist() == np.load(out / "ranked_new.npy").tolist() == [[1, 0]]
