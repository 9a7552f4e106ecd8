"""Measure every model on what happened after the cut, by one protocol.

Three tasks over the whole catalogue, without sampled negatives: `all`, every item counts; `new`, only items that the
user did not have; `cold`, only items that the text model learned nothing from, for users who chose one for the first
time, with a history that never held them.
"""

import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import msgspec
import numpy as np

from features.recommender import Prepared, Ranker, Recommender, UntrainedRanker, by_score
from recsys.errors import DataError
from recsys.metrics import RECALL_AT, per_user_metrics, summarise
from recsys.progress import progress
from recsys.retrieval.merge import best
from recsys.split import split_by_time
from recsys.state import Floats, Mask, Positions, UserState
from training import baselines
from training.channel_recall import candidate_recall
from training.pipeline import Pipeline
from training.ranker import score_all
from training.windows import Window

TOP = max(RECALL_AT)
USERS_AT_ONCE = 64
REPORT_FILE = "measured.json"


@dataclass(frozen=True)
class Case:
    """A user in a task: what is known, what may not be ranked, and what was then chosen."""

    user: UserState
    exclude: Mask
    relevant: frozenset[int]


def cases_of(window: Window, hidden: Mask) -> dict[str, list[Case]]:
    """The cases of each task; a user with nothing to find is left out of the task."""
    tasks: dict[str, list[Case]] = {"all": [], "new": [], "cold": []}
    for user, labels in zip(window.states, window.labels, strict=True):
        seen = np.zeros(len(hidden), dtype=np.bool_)
        seen[user.history] = True
        nothing = np.zeros(len(hidden), dtype=np.bool_)
        for task, state, exclude in (
            ("all", user, nothing),
            ("new", user, seen),
            ("cold", user.without(hidden), seen | ~hidden),
        ):
            relevant = frozenset(item for item in labels if not exclude[item])
            if relevant:
                tasks[task].append(Case(state, exclude, relevant))
    return tasks


def measure(pipeline: Pipeline) -> dict[str, Any]:
    """Every model on every task that it can do, and what explains the figures: the report but for its frame.

    Raises DataError when nobody who is known before the cut chose anything after it.
    """
    window = pipeline.window(pipeline.cut, None)
    tasks = cases_of(window, pipeline.hidden)
    if not tasks["all"]:
        raise DataError(
            f"no user with a past before {pipeline.cut} has a label after it, so nothing can be measured; "
            "set split.test_start or --test-start earlier"
        )
    known, _ = split_by_time(pipeline.interactions, pipeline.cut)
    text = pipeline.text
    finetuned = text.scorer(pipeline.cut)
    simple: dict[str, tuple[baselines.Scores, Sequence[str]]] = {
        "popularity": (baselines.popularity(window.items), ("all", "new")),
        "personal_frequency": (baselines.personal_frequency(window.items), ("all",)),
    }
    if len(pipeline.catalogue) <= baselines.EASE_MAX_ITEMS:
        simple["ease"] = (baselines.ease(known, pipeline.catalogue), ("all", "new"))
    simple["zero_shot_text"] = (baselines.zero_shot_text(text.pretrained), ("all", "new", "cold"))
    simple["text_model"] = (baselines.by_text(finetuned, window.items.now), ("all", "new", "cold"))
    simple["text_and_popularity"] = (baselines.by_text_and_popularity(finetuned, window.items), ("all", "new"))
    models: dict[str, dict[str, Any]] = {}
    for name, (scores, can_do) in simple.items():
        models[name] = {
            task: _measure_scores(name, task, scores, cases) if task in can_do else None
            for task, cases in tasks.items()
        }
    ours: dict[str, Any] = {"candidates": {}}
    for name, scorer in (("recsys_no_text", None), ("recsys", finetuned)):
        booster = pipeline.ranker(with_text=scorer is not None)
        recommender = pipeline.recommender(window.items, scorer)
        models[name] = {"cold": None}
        for task in ("all", "new"):
            measured, prepared = _measure_recommender(name, task, recommender, booster, tasks[task])
            models[name][task] = measured
            if name == "recsys":
                ours["candidates"][task] = _candidates(task, recommender, prepared, tasks[task])
        if name == "recsys":
            ours |= {"importance": _importance(booster), "channels": ours["candidates"]["all"]["channels"]}
    curve = [
        {
            "step": point["step"],
            "loss": point["loss"],
            "validation_ndcg@10": point.get("unseen"),
            "held_out_ndcg@10": point.get("held_out"),
            "asked_ndcg@10": point.get("asked"),
        }
        for point in text.about["curve"]
    ]
    return {
        "users": {task: len(cases) for task, cases in tasks.items()},
        "models": models,
        **ours,
        **({"curves": {"text": curve}} if curve else {}),
        "text": {key: text.about[key] for key in ("uses_pretrained", "validation", "texts", "tower", "encoders")},
    }


def evaluate(pipeline: Pipeline, *, bundle: str) -> dict[str, Any]:
    """The whole report; what was measured before with the same models is not measured again."""
    # The stages that it needs come first, so that their time is not counted twice.
    pipeline.compute_features()
    _ = pipeline.text
    for with_text in (True, False):
        pipeline.ranker(with_text=with_text)

    def build(folder: Path) -> None:
        measured = {**measure(pipeline), "peak_memory_mb": peak_memory_mb()}
        (folder / REPORT_FILE).write_bytes(msgspec.json.encode(measured))

    folder = pipeline.stages.run("evaluate", pipeline.key, build)
    measured: dict[str, Any] = msgspec.json.decode((folder / REPORT_FILE).read_bytes())
    frame = {"dataset": pipeline.config.name, "test_start": pipeline.cut.isoformat(), "bundle": bundle}
    return {**frame, **measured, "seconds": dict(pipeline.stages.seconds)}


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, in MiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1024**2 if sys.platform == "darwin" else most / 1024  # bytes on macOS, else KiB


def _measure_scores(name: str, task: str, scores: Callable[[UserState], Floats], cases: list[Case]) -> Any:
    top = []
    with progress(f"measuring {name} on {task}", len(cases)) as advance:
        for case in cases:
            top.append(best(np.where(case.exclude, -np.inf, scores(case.user)), TOP))
            advance()
    return _summary(top, cases)


def _measure_recommender(
    name: str, task: str, recommender: Recommender, booster: Ranker, cases: list[Case]
) -> tuple[Any, list[Prepared]]:
    top: list[Positions] = []
    prepared: list[Prepared] = []
    with progress(f"measuring {name} on {task}", len(cases)) as advance:
        for start in range(0, len(cases), USERS_AT_ONCE):
            part = [
                recommender.prepare(case.user, case.exclude, recommender.signals(case.user))
                for case in cases[start : start + USERS_AT_ONCE]
            ]
            for one, scores in zip(part, score_all(booster, part), strict=True):
                top.append(one.candidates.positions[by_score(scores)][:TOP])
            prepared += part
            advance(len(part))
    return _summary(top, cases), prepared


def _summary(top: list[Positions], cases: list[Case]) -> Any:
    return summarise(per_user_metrics(top, [case.relevant for case in cases])) if cases else None


def _importance(booster: lgb.Booster | UntrainedRanker) -> dict[str, float]:
    if isinstance(booster, UntrainedRanker):
        return {}
    gains = booster.feature_importance("gain").tolist()
    return dict(sorted(zip(booster.feature_name(), gains, strict=True), key=lambda pair: -pair[1]))


def _candidates(task: str, recommender: Recommender, prepared: list[Prepared], cases: list[Case]) -> Any:
    asked = [(case.user, case.exclude, case.relevant) for case in cases]
    return candidate_recall(task, recommender, asked, [one.candidates for one in prepared]) if cases else None
