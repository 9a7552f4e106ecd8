"""Two models on the same users: the difference of each metric, how sure it is, and the file that keeps the values of
each user for it.

FILE.users.parquet   task, model, user_id, to_find, and each metric; beside FILE.json, a report

User ids are personal data: the file stays in the folder of the report, and no id is printed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from recsys.bootstrap import interval_of, resampled_means, two_sided_p
from recsys.errors import DataError
from recsys.schema import USER_ID
from recsys.state import Floats

OURS: Final = ("recsys", "text_model")
"""The first of these that does a task stands for us."""

TASK: Final = "task"
MODEL: Final = "model"
TO_FIND: Final = "to_find"
NOT_METRICS: Final = (TASK, MODEL, USER_ID, TO_FIND)

RESAMPLES: Final = 10_000
"""More than for an interval: a p-value looks at the rare end of them."""


def paired_differences(ours: Mapping[str, Floats], theirs: Mapping[str, Floats]) -> dict[str, dict[str, Any]]:
    """Of each metric that both have, float64 (n_users,) of the same users in the same order: the means, `difference`
    = ours - theirs, its paired 95 % bootstrap interval `ci` and the two-sided p-value `p`, as plain numbers.

    A user without a value on either side does not count for that metric.
    """
    differences = {metric: ours[metric] - theirs[metric] for metric in ours if metric in theirs}
    some = {metric: values for metric, values in differences.items() if not np.isnan(values).all()}
    if not some:
        return {}
    columns = np.column_stack(list(some.values()))
    resampled = resampled_means(columns, resamples=RESAMPLES)
    found = {}
    mean, low, high = interval_of(np.nanmean(columns, axis=0), resampled)
    for at, (metric, p) in enumerate(zip(some, two_sided_p(resampled), strict=True)):
        both = ~np.isnan(some[metric])
        found[metric] = {
            "ours": float(ours[metric][both].mean()),
            "theirs": float(theirs[metric][both].mean()),
            "difference": float(mean[at]),
            "ci": [float(low[at]), float(high[at])],
            "p": float(p),
        }
    return found


def users_path(report: Path) -> Path:
    """Where the values of each user lie, of a report.json."""
    return report.with_suffix(".users.parquet")


def read_users(report: Path) -> pl.DataFrame:
    """The values of each user of a report. Raises DataError when they are not there."""
    path = users_path(report)
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"{path}: {error}; expected the values of each user that `recsys evaluate` writes beside {report.name}, "
            "evaluate again, or take the file along with the report"
        ) from error


def compare(
    report: Mapping[str, Any], users: pl.DataFrame, other: Mapping[str, Any], others: pl.DataFrame
) -> dict[str, Any]:
    """What has changed from another report to this one, on the users in both: see training.report_schema.Comparison.

    Of each task ours is compared, see OURS. A user counts when as many items were to be found in both. Raises DataError
    when the reports do not measure from the same moment on, or have no user in common.
    """
    if report["test_start"] != other["test_start"]:
        raise DataError(
            f"the reports measure from {report['test_start']} and from {other['test_start']} on; expected the same "
            "moment, evaluate one of them again with --test-start"
        )
    tasks = {}
    for task in report["users"]:
        sides = [(_of(users, task, name), _of(others, task, name), name) for name in OURS]
        both = [side for side in sides if len(side[0]) and len(side[1])]
        if both:
            here, there, model = both[0]
            tasks[task] = {"model": model, **_compare_task(here, there)}
    if not any(found["users"] for found in tasks.values()):
        raise DataError(
            f"the reports of {report['dataset']} and {other['dataset']} have no user in common; expected two "
            "evaluations of the same data"
        )
    return {"bundle": other["bundle"], "dataset": other["dataset"], "tasks": tasks}


def _of(users: pl.DataFrame, task: str, model: str) -> pl.DataFrame:
    return users.filter(pl.col(TASK) == task, pl.col(MODEL) == model)


def _compare_task(here: pl.DataFrame, there: pl.DataFrame) -> dict[str, Any]:
    both = here.join(there, on=USER_ID, suffix=" there").sort(USER_ID)
    same = both.filter(pl.col(TO_FIND) == pl.col(f"{TO_FIND} there"))
    metrics = [name for name in here.columns if name not in NOT_METRICS and name in there.columns]
    ours = {name: same[name].to_numpy() for name in metrics}
    theirs = {name: same[f"{name} there"].to_numpy() for name in metrics}
    return {
        "users": len(same),
        "only_here": len(here) - len(both),
        "only_there": len(there) - len(both),
        "changed": len(both) - len(same),
        "metrics": paired_differences(ours, theirs) if len(same) else {},
    }
