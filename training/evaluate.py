"""Measure every model on what happened after the cut, by one protocol.

Three tasks over the whole catalogue, without sampled negatives: `all`, every item counts; `new`, only items that the
user did not have; `cold`, only items that the text model learned nothing from, for users who chose one for the first
time, with a history that never held them.
"""

import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightgbm as lgb
import msgspec
import numpy as np
import polars as pl

from features.recommender import Recommender
from recsys.errors import DataError
from recsys.list_quality import self_information
from recsys.schema import EVENT_TYPE, USER_ID
from recsys.split import split_by_time
from recsys.state import Mask, Positions
from training import baselines
from training.calibration import calibration
from training.channel_recall import candidate_recall
from training.newcomers import measure_newcomers
from training.pipeline import Pipeline
from training.ranked_lists import Ranked, lists_by_scores, rank_cases
from training.slices import slices_of
from training.tally import Tally
from training.waterfall import waterfall
from training.windows import Window
from training.yardstick import Case, Yardstick, users_of_items

REPORT_FILE = "measured.json"
USERS_FILE = "users.parquet"


def cases_of(window: Window, hidden: Mask) -> dict[str, list[Case]]:
    """The cases of each task; a user with nothing to find is left out of the task."""
    tasks: dict[str, list[Case]] = {"all": [], "new": [], "cold": []}
    for user_id, user, labels in zip(window.users, window.states, window.labels, strict=True):
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
                tasks[task].append(Case(state, exclude, relevant, user_id))
    return tasks


def measure(pipeline: Pipeline, folder: Path | None = None) -> dict[str, Any]:
    """Every model on every task that it can do, and what explains the figures: the report but for its frame.

    folder  where to leave USERS_FILE, the values of each user: see training.paired

    Raises DataError when nobody who is known before the cut chose anything after it.
    """
    window = pipeline.window(pipeline.cut, None)
    tasks = cases_of(window, pipeline.hidden)
    if not tasks["all"]:
        raise DataError(
            f"no user with a past before {pipeline.cut} has a label after it, so nothing can be measured; "
            "set split.test_start or --test-start earlier"
        )
    known, later = split_by_time(pipeline.interactions, pipeline.cut)
    chosen = later.filter(pl.col(EVENT_TYPE).is_in(pipeline.config.label_types))
    had = users_of_items(known, pipeline.catalogue)
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
    at = pipeline.config.evaluation
    rarity = self_information(had, of=known[USER_ID].n_unique())
    tally = Tally(Yardstick(at, rarity, text.pretrained), tasks)
    for name, (scores, can_do) in simple.items():
        for task, cases in tasks.items():
            is_done = task in can_do
            top = lists_by_scores(f"{name} on {task}", scores, cases, at.deepest) if is_done else None
            tally.add(name, task, top)
    explained: dict[str, Any] = {}
    slices: dict[str, list[dict[str, Any]]] = {}
    candidates: dict[str, Any] = {}
    for name, scorer in (("recsys_no_text", None), ("recsys", finetuned)):
        ranker = pipeline.ranker(with_text=scorer is not None)
        recommender = pipeline.recommender(window.items, scorer)
        for task in ("all", "new"):
            ranked = rank_cases(f"{name} on {task}", recommender, ranker, tasks[task])
            tally.add(name, task, [one.first(at.deepest) for one in ranked])
            if name == "recsys":
                slices[task] = slices_of(tally, task, pipeline.catalogue, had, chosen)
                candidates[task] = _candidates(task, recommender, ranked, tasks[task])
            if name == "recsys" and task == "all":
                explained = {
                    "importance": _importance(pipeline.trees(with_text=True)),
                    **_of_candidates(ranked, tasks[task]),
                }
        tally.add(name, "cold", None)

    def rank(cases: Sequence[Case]) -> list[Positions]:
        return [one.first(at.deepest) for one in rank_cases("recsys on new users", recommender, ranker, cases)]

    strangers = measure_newcomers(pipeline, known, chosen, rank, window.items.popularity)
    slices["all"] = strangers + slices["all"]
    if folder is not None:
        tally.users().write_parquet(folder / USERS_FILE)
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
        "models": tally.models,
        "paired": tally.paired(),
        "by_k": tally.by_k(),
        "slices": slices,
        **explained,
        **({"ranker": parts} if (parts := pipeline.parts_of_ranker) else {}),
        "candidates": candidates,
        "channels": candidates["all"]["channels"],
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
    measured: dict[str, Any] = msgspec.json.decode((_folder(pipeline) / REPORT_FILE).read_bytes())
    frame = {"dataset": pipeline.config.name, "test_start": pipeline.cut.isoformat(), "bundle": bundle}
    return {**frame, **measured, "seconds": dict(pipeline.stages.seconds)}


def users_file(pipeline: Pipeline) -> Path:
    """Where `evaluate` left the values of each user: see training.paired."""
    return _folder(pipeline) / USERS_FILE


def _folder(pipeline: Pipeline) -> Path:
    def build(folder: Path) -> None:
        measured = {**measure(pipeline, folder), "peak_memory_mb": peak_memory_mb()}
        (folder / REPORT_FILE).write_bytes(msgspec.json.encode(measured))

    return pipeline.stages.run("evaluate", [pipeline.key, pipeline.config.evaluation], build)


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, in MiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1024**2 if sys.platform == "darwin" else most / 1024  # bytes on macOS, else KiB


def _of_candidates(ranked: Sequence[Ranked], cases: Sequence[Case]) -> dict[str, Any]:
    candidates, relevant = [one.candidates for one in ranked], [case.relevant for case in cases]
    return {
        "waterfall": waterfall(candidates, relevant),
        "calibration": calibration([one.positions for one in candidates], [one.scores for one in ranked], relevant),
    }


def _importance(trees: lgb.Booster | None) -> dict[str, float]:
    """Of the features to the trees; the network beside them has nothing like gains."""
    if trees is None:
        return {}
    gains = trees.feature_importance("gain").tolist()
    return dict(sorted(zip(trees.feature_name(), gains, strict=True), key=lambda pair: -pair[1]))


def _candidates(task: str, recommender: Recommender, ranked: Sequence[Ranked], cases: Sequence[Case]) -> Any:
    asked = [(case.user, case.exclude, case.relevant) for case in cases]
    return candidate_recall(task, recommender, asked, [one.candidates for one in ranked]) if cases else None
