"""Search for settings of a stage: each trial learns with some, and counts by what it reaches before the cut.

Nothing that `recsys evaluate` measures on is looked at. What is searched, and what a trial counts by, is said by
training.tune_finetune and training.tune_ranker. A search that was killed goes on; the same data, settings and seed give
the same trials either way.

Reads   tables/
Writes  tuning.db

    recsys tune --config recsys.toml --stage finetune --trials 20
"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from msgspec.structs import replace

from recsys.config import Finetune, Ranker
from training.pipeline import Pipeline

if TYPE_CHECKING:
    import optuna

TUNING_FILE = "tuning.db"
RANDOM_TRIALS: Final = 6
"""Before the search follows what it has found, and before it ends a trial early."""

Section = Finetune | Ranker
Settings = dict[str, float | int]
Report = Callable[[int, float], None]
"""Told of a step and what was reached there. Ends a trial that is worse than half of the others at the same step."""


@dataclass(frozen=True)
class Searched:
    """What is searched: keys of a section of recsys.toml, and what a trial counts by; more is better.

    explained  what it counts by, for the page
    column     the same as the heading of a table, with _ where a line may end
    """

    section: str
    keys: tuple[str, ...]
    measure: str
    explained: str
    column: str
    digits: int

    def figure(self, reached: float) -> str:
        """What was reached, with as many digits as matter."""
        return f"{reached:.{self.digits}f}"


class Tuned(Protocol):
    """A stage whose settings are searched for."""

    searched: Searched

    @property
    def config(self) -> Section:
        """The section of recsys.toml."""
        ...

    @property
    def key(self) -> str:
        """All that a trial depends on, but for what is searched: other data or code, another study."""
        ...

    def first(self) -> Settings:
        """The values of recsys.toml, which are tried first."""
        ...

    def suggested(self, trial: "optuna.Trial") -> Section:
        """Values to try; the ranges reach as far as those of recsys.toml."""
        ...

    def learn(self, settings: Any, report: Report, label: str) -> float:
        """Learn with a section such as `suggested` gives, and say what it reaches.

        Raises DataError when there is too little to learn from.
        """
        ...


@dataclass(frozen=True)
class Trial:
    """One trial: its keys of the section, and the most that it reached; `ended` before its last step."""

    number: int
    settings: Settings
    reached: float
    ended: bool


def in_words(value: Any) -> str:
    """A setting as TOML, a number with as many digits as matter."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case float():
            return f"{value:.4g}"
        case dict():
            return "{ " + ", ".join(f"{name} = {in_words(one)}" for name, one in value.items()) + " }"
    return str(value)


@dataclass(frozen=True)
class Found:
    """The trials in their order. The first one has the settings of recsys.toml, which are `config`."""

    project: str
    searched: Searched
    config: Section
    trials: list[Trial]

    @property
    def best(self) -> Trial:
        return max(self.trials, key=lambda trial: trial.reached)

    @property
    def section(self) -> str:
        """The section of recsys.toml with the best settings: every key that differs from its default."""
        values = msgspec.to_builtins(replace(self.config, **self.best.settings))
        usual = type(self.config)()
        lines = [f"{name} = {in_words(value)}" for name, value in values.items() if value != getattr(usual, name)]
        return "\n".join([f"[{self.searched.section}]", *lines])


def search(pipeline: Pipeline, tuned: Tuned, *, trials: int, timeout_minutes: float | None = None) -> Found:
    """Trials until there are as many, those of earlier searches of the same among them, or the time is over.

    Raises DataError when there is too little to learn from.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ends = time.monotonic() + 60 * timeout_minutes if timeout_minutes is not None else float("inf")
    storage = optuna.storages.RDBStorage(f"sqlite:///{pipeline.workspace.root / TUNING_FILE}")
    with closing(_Disposed(storage)):
        pruner = optuna.pruners.MedianPruner(n_startup_trials=RANDOM_TRIALS)
        study = optuna.create_study(
            storage=storage, study_name=tuned.key, load_if_exists=True, direction="maximize", pruner=pruner
        )
        for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)  # that of a search that was killed
        while len(found := _finished(study)) < trials and (not found or time.monotonic() < ends):
            # A sampler of its own for each trial: what was drawn before a kill need not be drawn again.
            study.sampler = optuna.samplers.TPESampler(
                seed=tuned.config.seed + len(found), n_startup_trials=RANDOM_TRIALS
            )
            if not found and not study.get_trials(states=[optuna.trial.TrialState.WAITING]):
                study.enqueue_trial(tuned.first())
            best = f", best {tuned.searched.figure(max(trial.reached for trial in found))}" if found else ""
            _try(study, tuned, f"trial {len(found) + 1} of {trials}{best}")
        return Found(pipeline.config.name, tuned.searched, tuned.config, found)


class _Disposed:
    """Closes the connections of a storage, which Optuna leaves to the end of the process."""

    def __init__(self, storage: "optuna.storages.RDBStorage") -> None:
        self._storage = storage

    def close(self) -> None:
        self._storage.remove_session()
        self._storage.engine.dispose()


def _finished(study: "optuna.Study") -> list[Trial]:
    import optuna

    done = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    found: list[Trial] = []
    for trial in study.get_trials(states=done):
        ended = trial.state == optuna.trial.TrialState.PRUNED
        # Of a trial that was ended Optuna keeps the last value, not the best.
        reached = max(trial.intermediate_values.values()) if ended or trial.value is None else trial.value
        found.append(Trial(len(found) + 1, dict(trial.params), reached, ended))
    return found


def _try(study: "optuna.Study", tuned: Tuned, label: str) -> None:
    """Learn with the settings of one more trial, and tell the study what they reached."""
    import optuna

    trial = study.ask()

    def report(step: int, reached: float) -> None:
        trial.report(reached, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        reached = tuned.learn(tuned.suggested(trial), report, label)
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        return
    study.tell(trial, reached)
