"""What every model reaches on every task; of ours and of the best baseline the lists are kept for a closer look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from recsys.schema import USER_ID
from recsys.state import Positions
from training.paired import MODEL, OURS, TASK, TO_FIND, paired_differences
from training.yardstick import Case, Measured, Yardstick

BASELINES: Final = ("popularity", "personal_frequency", "ease", "zero_shot_text")


@dataclass(frozen=True)
class Entry:
    """One model on one task, with the list of each case, best first."""

    model: str
    top: Sequence[Positions]
    measured: Measured


@dataclass
class Tally:
    """Filled by `add`, a model and a task at a time.

    models  model → task → means and intervals, None where the model cannot do the task
    curves  model → task → means over k
    """

    yardstick: Yardstick
    tasks: Mapping[str, Sequence[Case]]
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    curves: dict[str, dict[str, Any]] = field(default_factory=dict)
    _ours: dict[str, Entry] = field(default_factory=dict)
    _baselines: dict[str, Entry] = field(default_factory=dict)
    _users: list[pl.DataFrame] = field(default_factory=list)

    def add(self, model: str, task: str, top: Sequence[Positions] | None) -> None:
        """The lists of a model, one for each case of the task; None where the model cannot do it."""
        cases = self.tasks[task]
        of_model, curves = self.models.setdefault(model, {}), self.curves.setdefault(model, {})
        of_model[task] = curves[task] = None
        if top is None or not cases:
            return
        entry = Entry(model, top, self.yardstick.measure(top, cases))
        of_model[task], curves[task] = entry.measured.summary, entry.measured.curves
        self._users.append(users_frame(model, task, cases, entry.measured))
        if model in OURS and (task not in self._ours or _rank(model) < _rank(self._ours[task].model)):
            self._ours[task] = entry
        if model in BASELINES and (
            task not in self._baselines or self._main(entry) > self._main(self._baselines[task])
        ):
            self._baselines[task] = entry

    def rivals(self, task: str) -> tuple[Entry, Entry] | None:
        """Ours and the best baseline on a task; None where one of them is missing."""
        found = self._ours.get(task), self._baselines.get(task)
        return None if found[0] is None or found[1] is None else (found[0], found[1])

    def paired(self) -> dict[str, Any]:
        """Ours against the best baseline of each task: see Paired in training.report_schema."""
        found = {}
        for task in self.tasks:
            rivals = self.rivals(task)
            if rivals is not None:
                ours, baseline = rivals
                differences = paired_differences(ours.measured.values, baseline.measured.values)
                found[task] = {"model": ours.model, "baseline": baseline.model, "metrics": differences}
        return found

    def by_k(self) -> dict[str, Any]:
        """The curves of every model: see ByK in training.report_schema."""
        return {"k": self.yardstick.curve_at, "models": self.curves}

    def users(self) -> pl.DataFrame:
        """The values of each user on each task by each model: see training.paired."""
        return pl.concat(self._users)

    def _main(self, entry: Entry) -> float:
        value: float = entry.measured.summary[f"ndcg@{min(self.yardstick.at.ndcg_at)}"]
        return value


def users_frame(model: str, task: str, cases: Sequence[Case], measured: Measured) -> pl.DataFrame:
    """The values of each user, one row a case; a metric that a user does not have is NaN."""
    return pl.DataFrame(
        {
            TASK: [task] * len(cases),
            MODEL: [model] * len(cases),
            USER_ID: [case.user_id for case in cases],
            TO_FIND: [len(case.relevant) for case in cases],
            **measured.values,
        }
    )


def _rank(model: str) -> int:
    return OURS.index(model)
