"""Search for settings of fine-tuning: each trial learns with some, up to the first window of the ranker.

Nothing that `recsys evaluate` measures on is looked at: a trial counts by the validation before the first window, as
the best ratio to the pretrained model that it reaches. A trial that is worse than half of the others at the same step
is ended there. A search that was killed goes on; the same data, settings and seed give the same trials either way.

Reads   tables/
Writes  tuning.db

    recsys tune --config recsys.toml --trials 20
"""

import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace
from transformers import AutoConfig

from recsys.config import Finetune
from recsys.errors import DataError
from training.encoder import TextEncoder
from training.finetune import finetune
from training.lessons import Tables
from training.pipeline import Pipeline
from training.walk import relative_gain

if TYPE_CHECKING:
    import optuna

TUNING_FILE = "tuning.db"
RANDOM_TRIALS: Final = 6
"""Before the search follows what it has found, and before it ends a trial early."""

MAX_TRAINED_LAYERS: Final = 6
SEARCHED: Final = ("learning_rate", "trained_layers", "temperature", "history_items", "anchor")


@dataclass(frozen=True)
class Trial:
    """One trial: its keys of [finetune], and the best ratio to the pretrained model; `ended` before its last step."""

    number: int
    settings: dict[str, float | int]
    gain: float
    ended: bool


def in_words(value: str | float) -> str:
    """A setting as TOML, a number with as many digits as matter."""
    return f'"{value}"' if isinstance(value, str) else f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Found:
    """The trials in their order. The first one has the settings of recsys.toml."""

    project: str
    config: Finetune
    """That of recsys.toml."""
    trials: list[Trial]

    @property
    def best(self) -> Trial:
        return max(self.trials, key=lambda trial: trial.gain)

    @property
    def section(self) -> str:
        """The [finetune] section of recsys.toml with the best settings: every key that differs from its default."""
        values = msgspec.to_builtins(replace(self.config, **self.best.settings))
        lines = [f"{name} = {in_words(value)}" for name, value in values.items() if value != getattr(Finetune(), name)]
        return "\n".join(["[finetune]", *lines])


def search(pipeline: Pipeline, *, trials: int, timeout_minutes: float | None = None) -> Found:
    """Trials until there are as many, those of earlier searches of the same among them, or the time is over.

    Raises DataError when there is too little to learn from.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    config = pipeline.config
    ends = time.monotonic() + 60 * timeout_minutes if timeout_minutes is not None else float("inf")
    storage = optuna.storages.RDBStorage(f"sqlite:///{pipeline.workspace.root / TUNING_FILE}")
    with closing(_Disposed(storage)):
        pruner = optuna.pruners.MedianPruner(n_startup_trials=RANDOM_TRIALS)
        study = optuna.create_study(
            storage=storage, study_name=_key(pipeline), load_if_exists=True, direction="maximize", pruner=pruner
        )
        for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)  # that of a search that was killed
        while len(found := _finished(study)) < trials and (not found or time.monotonic() < ends):
            # A sampler of its own for each trial: what was drawn before a kill need not be drawn again.
            study.sampler = optuna.samplers.TPESampler(
                seed=config.finetune.seed + len(found), n_startup_trials=RANDOM_TRIALS
            )
            if not found and not study.get_trials(states=[optuna.trial.TrialState.WAITING]):
                study.enqueue_trial({name: getattr(config.finetune, name) for name in SEARCHED})  # those of recsys.toml
            best = f", best {max(trial.gain for trial in found):.3f}" if found else ""
            _try(study, pipeline, f"trial {len(found) + 1} of {trials}{best}")
        return Found(config.name, config.finetune, found)


class _Disposed:
    """Closes the connections of a storage, which Optuna leaves to the end of the process."""

    def __init__(self, storage: "optuna.storages.RDBStorage") -> None:
        self._storage = storage

    def close(self) -> None:
        self._storage.remove_session()
        self._storage.engine.dispose()


def _key(pipeline: Pipeline) -> str:
    """All that a trial depends on, but for what is searched: other data or code, another study."""
    usual = Finetune()
    return pipeline.text_key_with(
        replace(pipeline.config.finetune, **{name: getattr(usual, name) for name in SEARCHED})
    )


def _finished(study: "optuna.Study") -> list[Trial]:
    import optuna

    done = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    found: list[Trial] = []
    for trial in study.get_trials(states=done):
        ended = trial.state == optuna.trial.TrialState.PRUNED
        gain = max(trial.intermediate_values.values())
        found.append(Trial(len(found) + 1, dict(trial.params), gain, ended))
    return found


def _suggested(trial: "optuna.Trial", now: Finetune, layers: int) -> Finetune:
    """Settings to try; the ranges reach as far as those of recsys.toml."""
    rate, temperature, history = now.learning_rate, now.temperature, now.history_items
    found = replace(
        now,
        learning_rate=trial.suggest_float("learning_rate", min(2e-5, rate), max(5e-3, rate), log=True),
        temperature=trial.suggest_float("temperature", min(5.0, temperature), max(50.0, temperature), log=True),
        history_items=trial.suggest_int("history_items", min(5, history), max(200, history), log=True),
        anchor=trial.suggest_float("anchor", 0.0, max(2.0, now.anchor)),
    )
    if now.method == "last_layers":
        layers = max(min(layers, MAX_TRAINED_LAYERS), now.trained_layers)
        found = replace(found, trained_layers=trial.suggest_int("trained_layers", 1, layers))
    return found


def _try(study: "optuna.Study", pipeline: Pipeline, label: str) -> None:
    """Learn with the settings of one more trial, and tell the study what they reached."""
    import optuna

    config = pipeline.config
    trial = study.ask()
    tune = _suggested(trial, config.finetune, AutoConfig.from_pretrained(pipeline.encoder).num_hidden_layers)
    zero_shot: Mapping[str, float] = {}

    def measured(step: int, values: Mapping[str, float]) -> None:
        nonlocal zero_shot
        if step == 0:
            zero_shot = values
            return
        trial.report(relative_gain(values, zero_shot), step)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        with tempfile.TemporaryDirectory() as folder:
            finetune(
                TextEncoder(pipeline.encoder, config.text, tune),
                Tables(pipeline.interactions, pipeline.impressions),
                pipeline.catalogue,
                replace(config, finetune=tune),
                cut=pipeline.cut,
                windows=pipeline.windows,
                hidden=pipeline.hidden,
                folder=Path(folder),
                measured=measured,
                trial=label,
            )
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        return
    reached = study.trials[trial.number].intermediate_values
    if not reached:
        raise DataError(
            f"interactions: too little before {pipeline.cut:%Y-%m-%d} to learn from: nothing to tune; "
            "import more, or set finetune.max_steps above 0"
        )
    study.tell(trial, max(reached.values()))
