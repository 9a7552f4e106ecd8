"""Whether a report is one, and which of its metrics tables and plots show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from recsys.errors import DataError
from training.report_schema import AtLeastZero, Report, Share

UNBOUNDED: Final = ("novelty",)
"""Metrics that are no shares."""


@dataclass(frozen=True)
class MainMetrics:
    """The metrics of a report that tables and plots show: at the smallest k of ndcg, at the smallest and largest of
    recall."""

    ndcg: str
    recall: str
    deep_recall: str

    @property
    def all(self) -> tuple[str, ...]:
        """Each once."""
        return tuple(dict.fromkeys((self.ndcg, self.recall, self.deep_recall)))


def main_metrics(report: Mapping[str, Any]) -> MainMetrics:
    """Raises DataError when no model has an ndcg and a recall."""
    first: Mapping[str, Any] = next(
        (row for tasks in report["models"].values() for row in tasks.values() if row is not None), {}
    )
    cutoffs: dict[str, list[int]] = {}
    for name in first:
        metric, _, k = name.partition("@")
        if k.isdigit():
            cutoffs.setdefault(metric, []).append(int(k))
    if not {"ndcg", "recall"} <= set(cutoffs):
        raise DataError(f"report: no model has an ndcg@k and a recall@k, found {sorted(first)}; evaluate again")
    recalls = cutoffs["recall"]
    return MainMetrics(f"ndcg@{min(cutoffs['ndcg'])}", f"recall@{min(recalls)}", f"recall@{max(recalls)}")


def validate_report(report: Mapping[str, Any]) -> None:
    """Raises DataError with the place in the report and what was expected there."""
    try:
        msgspec.convert(report, Report)
    except msgspec.ValidationError as error:
        raise DataError(f"report: {error}; training.report_schema.Report lists every key") from error
    main = main_metrics(report)
    for model, tasks in report["models"].items():
        for task, metrics in tasks.items():
            if metrics is not None:
                _check_metrics(f"$.models.{model}.{task}", metrics, main)


def _check_metrics(place: str, metrics: Mapping[str, Any], main: MainMetrics) -> None:
    missing = [name for metric in main.all for name in (metric, f"{metric}_ci") if name not in metrics]
    if missing:
        raise DataError(f"report: {missing} are missing at `{place}`, other models have them; evaluate again")
    for name, value in metrics.items():
        one: Any = AtLeastZero if name.startswith(UNBOUNDED) else Share
        try:
            msgspec.convert(value, tuple[one, one] if name.endswith("_ci") else one)
        except msgspec.ValidationError as error:
            raise DataError(f"report: {error} - at `{place}.{name}`; evaluate again") from error
