"""Champion and challenger on the same later data, from which neither has learned: how they differ, also in slices."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from recsys.metrics import per_user_metrics, summarise
from recsys.schema import EVENT_TYPE
from recsys.split import split_by_time
from recsys.state import Floats, Positions
from training.calibration import calibration
from training.contenders import NEW_USERS, Contender
from training.paired import paired_differences
from training.pipeline import Pipeline
from training.slices import FEW_USERS, cut_up, main_metrics
from training.yardstick import users_of_items

TIMED_USERS: Final = 60
BIGGEST_CATEGORIES: Final = 3
NEW_TO_THE_USER: Final = "new to the user"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Challenger minus champion on the main metric over some users, with its paired 95 % interval."""

    name: str
    users: int
    few: bool
    """Too few users to decide anything by."""
    champion: float
    challenger: float
    difference: float
    ci: tuple[float, float]
    p: float
    """Two-sided."""


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """How both did."""

    metric: str
    whole: Difference
    slices: list[Difference]
    calibration: dict[str, list[dict[str, Any]]]
    """Of each the bins of training.calibration."""
    milliseconds: dict[str, float]
    """Of each the median for one user."""
    metrics: dict[str, dict[str, Any]]
    """Task → what the challenger reaches, as in the manifest of a bundle."""


def hold(pipeline: Pipeline, champion: Contender, challenger: Contender) -> Contest:
    """Measure both on what was chosen after the cut."""
    at = main_metrics(pipeline.config.evaluation)
    metric, depth = f"ndcg@{min(at.ndcg_at)}", max(*at.ndcg_at, *at.recall_at)
    tops: dict[str, tuple[list[Positions], list[Positions]]] = {}
    bins, metrics = {}, {}
    for task, cases in challenger.cases.items():
        found = []
        for name, contender in (("champion", champion), ("challenger", challenger)):
            top, candidates, scores = contender.rank(f"{name} on {task}", task, depth)
            found.append(top)
            if task == "all":
                bins[name] = calibration(candidates, scores, [case.relevant for case in cases])
        tops[task] = found[0], found[1]
        if cases:
            metrics[task] = summarise(per_user_metrics(found[1], [case.relevant for case in cases], at))

    def compared(name: str, task: str, relevant: Sequence[frozenset[int]]) -> Difference | None:
        rows = [row for row, wanted in enumerate(relevant) if wanted]
        if not rows:
            return None
        wanted = [relevant[row] for row in rows]
        ours, theirs = (
            per_user_metrics([top[row] for row in rows], wanted, at)[metric] for top in reversed(tops[task])
        )
        return difference_of(name, ours, theirs, metric)

    cases = challenger.cases["all"]
    known, later = split_by_time(pipeline.interactions, pipeline.cut)
    chosen = later.filter(pl.col(EVENT_TYPE).is_in(pipeline.config.label_types))
    categories = 0
    slices = [
        compared(NEW_TO_THE_USER, "new", [case.relevant for case in challenger.cases["new"]]),
        compared(NEW_USERS, NEW_USERS, [case.relevant for case in challenger.cases[NEW_USERS]]),
    ]
    for part in cut_up(cases, pipeline.catalogue, users_of_items(known, pipeline.catalogue), chosen):
        categories += part.by == "category"
        if part.by in ("history", "item") or (part.by == "category" and categories <= BIGGEST_CATEGORIES):
            slices.append(compared(part.name, "all", part.relevant))
    whole = compared("all", "all", [case.relevant for case in cases])
    assert whole is not None, "there are enough users, see training.gate"
    return Contest(
        metric=metric,
        whole=whole,
        slices=[one for one in slices if one is not None],
        calibration=bins,
        milliseconds=_milliseconds(champion, challenger),
        metrics=metrics,
    )


def difference_of(name: str, challenger: Floats, champion: Floats, metric: str) -> Difference:
    """The difference of two float64 (n_users,) of the same users."""
    found = paired_differences({metric: challenger}, {metric: champion})[metric]
    return Difference(
        name=name,
        users=len(challenger),
        few=len(challenger) < FEW_USERS,
        champion=found["theirs"],
        challenger=found["ours"],
        difference=found["difference"],
        ci=tuple(found["ci"]),
        p=found["p"],
    )


def _milliseconds(champion: Contender, challenger: Contender) -> dict[str, float]:
    """Medians over the same users, one after the other, so that what else the machine does slows both alike."""
    times: dict[str, list[float]] = {"champion": [], "challenger": []}
    for one, other in list(zip(champion.cases["all"], challenger.cases["all"], strict=True))[:TIMED_USERS]:
        times["champion"].append(champion.milliseconds(one))
        times["challenger"].append(challenger.milliseconds(other))
    return {name: float(np.median(values)) for name, values in times.items()}
