"""Tell trackers what training is set to, what it measures and what came of it.

Settings, losses and metrics are told: no row of a table, no id, no path of this machine.

    recsys train --track tensorboard --track mlflow
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from recsys.config import Config
from training.trackers import TRACKERS, Tracker

FOLDER = "tracking"
SECTIONS = ("interaction_types", "text", "split", "finetune", "retrieval", "ranker")
"""Of recsys.toml; the others say where files and servers are."""


class Watch:
    """The trackers of one training, and which of its steps they have been told."""

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        """Raises ModuleNotFoundError for one whose extra is not installed."""
        self._trackers: list[Tracker] = [TRACKERS[name](folder / FOLDER) for name in dict.fromkeys(names)]
        self._steps: set[int] = set()

    @contextmanager
    def run(self, config: Config, name: str) -> Iterator[None]:
        """A run for the training in the block; marked as failed when the block raises, or never said `finish`."""
        for tracker in self._trackers:
            tracker.start(config.name, name, parameters_of(config))
        try:
            yield
        finally:
            self._end({}, (), failed=True)

    def measured(self, step: int, values: Mapping[str, float]) -> None:
        """A measurement of fine-tuning."""
        self._steps.add(step)
        for tracker in self._trackers:
            tracker.measured(step, {f"finetune/{name}": value for name, value in values.items()})

    def finish(self, about: Mapping[str, Any], report: Mapping[str, Any] | None, artifacts: Sequence[Path]) -> None:
        """What came of it: the text model (text.json), the report if anything was measured, and files to keep.

        Measurements of a run that was killed, or of a training that is reused, are told as well.
        """
        for point in about["curve"]:
            if point["step"] not in self._steps:
                values = {name: value for name, value in point.items() if name != "step" and value is not None}
                self.measured(point["step"], values)
        self._end(final_metrics(about, report), artifacts, failed=False)

    def _end(self, metrics: Mapping[str, float], artifacts: Sequence[Path], *, failed: bool) -> None:
        while self._trackers:
            self._trackers.pop().finish(metrics, artifacts, failed=failed)


def parameters_of(config: Config, sections: Sequence[str] = SECTIONS) -> dict[str, Any]:
    """The settings that say how the models learn, by their place in recsys.toml: "finetune.learning_rate", …"""
    found: dict[str, Any] = {}

    def flatten(place: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                flatten(f"{place}.{key}", inner)
        else:
            found[place] = value

    for section in sections:
        flatten(section, msgspec.to_builtins(getattr(config, section)))
    if config.text.encoder is not None and Path(config.text.encoder).is_absolute():
        found["text.encoder"] = Path(config.text.encoder).name
    return found


def final_metrics(about: Mapping[str, Any], report: Mapping[str, Any] | None) -> dict[str, float]:
    """uses_pretrained, the validation of the text model, and each model's metrics on the test window, if measured."""
    found = {"uses_pretrained": float(about["uses_pretrained"])}
    for model, kinds in about["validation"].items():
        found |= {f"validation/{model}/{kind}": value for kind, value in kinds.items()}
    for model, tasks in ({} if report is None else report["models"]).items():
        for task, metrics in tasks.items():
            values = {} if metrics is None else metrics
            found |= {
                f"test/{model}/{task}/{name}": value for name, value in values.items() if not name.endswith("_ci")
            }
    # MLflow refuses an @ in a name.
    return {name.replace("@", "_at_"): value for name, value in found.items()}
