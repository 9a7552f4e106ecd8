"""Where the figures of a training go: TensorBoard, MLflow and Weights & Biases, each an extra of its own.

Writes  tracking/ of a project; with MLFLOW_TRACKING_URI, and unless WANDB_MODE is offline, a server
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """Where the figures of one run go. To make one without its extra raises ModuleNotFoundError."""

    def start(self, project: str, run: str, parameters: Mapping[str, Any]) -> None: ...

    def measured(self, step: int, values: Mapping[str, float]) -> None: ...

    def finish(self, metrics: Mapping[str, float], artifacts: Sequence[Path], *, failed: bool) -> None: ...


class TensorBoard:
    """Event files: `tensorboard --logdir PROJECT/tracking/tensorboard` shows them."""

    def __init__(self, folder: Path) -> None:
        from tensorboardX import SummaryWriter

        self._folder, self._open = folder / "tensorboard", SummaryWriter

    def start(self, project: str, run: str, parameters: Mapping[str, Any]) -> None:
        # A second, for whoever watches; the default is two minutes.
        self._writer = self._open(str(self._folder / run), flush_secs=1)
        rows = [f"| {name} | {value} |" for name, value in parameters.items()]
        self._writer.add_text("parameters", "\n".join(["| key | value |", "|---|---|", *rows]))

    def measured(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def finish(self, metrics: Mapping[str, float], artifacts: Sequence[Path], *, failed: bool) -> None:
        self.measured(0, metrics)
        for path in artifacts:
            self._writer.add_text(path.name, path.read_text("utf-8"))
        self._writer.close()


class MLflow:
    """A run in the experiment of the project's name: `mlflow ui --backend-store-uri sqlite:///PROJECT/tracking/mlflow.db`.

    Nothing but what is named here is written: mlflow.start_run would add who trains and on which path.
    """

    def __init__(self, folder: Path) -> None:
        from mlflow import MlflowClient

        folder.mkdir(parents=True, exist_ok=True)
        self._artifacts = None if "MLFLOW_TRACKING_URI" in os.environ else (folder / "mlflow").resolve().as_uri()
        local = f"sqlite:///{(folder / 'mlflow.db').resolve()}"
        self._client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", local))

    def start(self, project: str, run: str, parameters: Mapping[str, Any]) -> None:
        found = self._client.get_experiment_by_name(project)
        experiment = found.experiment_id if found else self._client.create_experiment(project, self._artifacts)
        self._run = self._client.create_run(experiment, run_name=run).info.run_id
        for name, value in parameters.items():
            self._client.log_param(self._run, name, value)

    def measured(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def finish(self, metrics: Mapping[str, float], artifacts: Sequence[Path], *, failed: bool) -> None:
        self.measured(0, metrics)
        for path in artifacts:
            self._client.log_artifact(self._run, str(path))
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")


class WeightsAndBiases:
    """A run in the project of the same name; WANDB_MODE=offline keeps it in tracking/wandb until `wandb sync`."""

    def __init__(self, folder: Path) -> None:
        import wandb

        self._folder, self._wandb = folder, wandb

    def start(self, project: str, run: str, parameters: Mapping[str, Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Without these it sends the command line, the repository and the machine along.
        settings = self._wandb.Settings(disable_git=True, disable_code=True, x_disable_meta=True, x_disable_stats=True)
        self._run = self._wandb.init(
            project=project, name=run, dir=str(self._folder), config=dict(parameters), settings=settings
        )
        # Its own counter refuses a step that is earlier than another.
        self._run.define_metric("*", step_metric="step")

    def measured(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({**values, "step": step})

    def finish(self, metrics: Mapping[str, float], artifacts: Sequence[Path], *, failed: bool) -> None:
        self._run.summary.update(dict(metrics))
        for path in artifacts:
            self._run.save(str(path), base_path=str(path.parent), policy="now")
        self._run.finish(exit_code=int(failed))


TRACKERS: dict[str, Callable[[Path], Tracker]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
    "wandb": WeightsAndBiases,
}
