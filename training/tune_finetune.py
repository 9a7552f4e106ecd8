"""Settings of fine-tuning to search for: each trial learns up to the first window of the ranker.

A trial counts by the validation before that window, as the best ratio to the pretrained model that it reaches. One that
is worse than half of the others at the same step is ended there.
"""

import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace
from transformers import AutoConfig

from recsys.config import Finetune
from recsys.errors import DataError
from training.encoder import TextEncoder
from training.finetune import finetune
from training.lessons import Tables
from training.pipeline import Pipeline
from training.tune import Report, Searched, Settings
from training.walk import relative_gain

if TYPE_CHECKING:
    import optuna

MAX_TRAINED_LAYERS: Final = 6

SEARCHED: Final = Searched(
    section="finetune",
    keys=("learning_rate", "trained_layers", "temperature", "history_items", "anchor"),
    measure="× the pretrained model",
    explained="Geometric mean of the ratios of ndcg@10 on the validation before the first window of the ranker.",
    column="×_pretrained",
    digits=3,
)


class TunedFinetune:
    """The stage `finetune` of a pipeline."""

    searched = SEARCHED

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    @property
    def config(self) -> Finetune:
        return self._pipeline.config.finetune

    @property
    def key(self) -> str:
        usual = Finetune()
        return self._pipeline.text_key_with(
            replace(self.config, **{name: getattr(usual, name) for name in SEARCHED.keys})
        )

    @cached_property
    def _layers(self) -> int:
        layers: int = AutoConfig.from_pretrained(self._pipeline.encoder).num_hidden_layers
        return max(min(layers, MAX_TRAINED_LAYERS), self.config.trained_layers)

    def first(self) -> Settings:
        return {name: getattr(self.config, name) for name in SEARCHED.keys}

    def suggested(self, trial: "optuna.Trial") -> Finetune:
        now = self.config
        rate, temperature, history = now.learning_rate, now.temperature, now.history_items
        found = replace(
            now,
            learning_rate=trial.suggest_float("learning_rate", min(2e-5, rate), max(5e-3, rate), log=True),
            temperature=trial.suggest_float("temperature", min(5.0, temperature), max(50.0, temperature), log=True),
            history_items=trial.suggest_int("history_items", min(5, history), max(200, history), log=True),
            anchor=trial.suggest_float("anchor", 0.0, max(2.0, now.anchor)),
        )
        if now.method == "last_layers":
            found = replace(found, trained_layers=trial.suggest_int("trained_layers", 1, self._layers))
        return found

    def learn(self, settings: Finetune, report: Report, label: str) -> float:
        pipeline = self._pipeline
        zero_shot: Mapping[str, float] = {}
        reached: list[float] = []

        def measured(step: int, values: Mapping[str, float]) -> None:
            nonlocal zero_shot
            if step == 0:
                zero_shot = values
                return
            reached.append(relative_gain(values, zero_shot))
            report(step, reached[-1])

        with tempfile.TemporaryDirectory() as folder:
            finetune(
                TextEncoder(pipeline.encoder, pipeline.config.text, settings),
                Tables(pipeline.interactions, pipeline.impressions),
                pipeline.catalogue,
                replace(pipeline.config, finetune=settings),
                cut=pipeline.cut,
                windows=pipeline.windows,
                hidden=pipeline.hidden,
                folder=Path(folder),
                measured=measured,
                trial=label,
            )
        if not reached:
            raise DataError(
                f"interactions: too little before {pipeline.cut:%Y-%m-%d} to learn from: nothing to tune; "
                "import more, or set finetune.max_steps above 0"
            )
        return max(reached)
