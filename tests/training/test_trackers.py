"""TensorBoard writes a real file. Of MLflow and Weights & Biases the calls are checked on stand-ins."""

import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from training.trackers import TRACKERS, MLflow, TensorBoard, WeightsAndBiases


class Noted:
    """Keeps every call as (name, arguments, named arguments); what a call returns is one of these as well."""

    def __init__(self, calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]], name: str = "") -> None:
        self._calls, self._name = calls, name

    def __getattr__(self, name: str) -> "Noted":
        return Noted(self._calls, f"{self._name}.{name}".lstrip("."))

    def __call__(self, *arguments: Any, **named: Any) -> "Noted":
        self._calls.append((self._name, arguments, named))
        return Noted(self._calls, self._name)

    def __bool__(self) -> bool:
        return False


def scalars_and_texts(folder: Path) -> tuple[dict[tuple[str, int], float], dict[str, str]]:
    """What the event files of a folder hold, read as the format says: length, its checksum, an event, its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    scalars, texts = {}, {}
    for file in folder.glob("events.out.tfevents.*"):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            data = data[12 + length + 4 :]
            for value in event.summary.value:
                if value.HasField("tensor"):
                    texts[value.tag.removesuffix("/text_summary")] = value.tensor.string_val[0].decode()
                else:
                    scalars[value.tag, event.step] = pytest.approx(value.simple_value)
    return scalars, texts


def test_tensorboard_files_hold_parameters_measurements_final_metrics_and_kept_files(tmp_path: Path):
    manifest = tmp_path / "manifest.json"
    manifest.write_text('{"bundle_id": "b"}')
    tracker = TensorBoard(tmp_path)
    tracker.start("shop", "run-1", {"finetune.learning_rate": 0.001})
    tracker.measured(10, {"finetune/loss": 2.5, "finetune/unseen": 0.125})
    tracker.finish({"test/recsys/all/ndcg_at_10": 0.5}, [manifest], failed=False)
    scalars, texts = scalars_and_texts(tmp_path / "tensorboard" / "run-1")
    assert scalars == {
        ("finetune/loss", 10): 2.5,
        ("finetune/unseen", 10): 0.125,
        ("test/recsys/all/ndcg_at_10", 0): 0.5,
    }
    assert "| finetune.learning_rate | 0.001 |" in texts["parameters"]
    assert "bundle_id" in texts["manifest.json"]


def test_mlflow_gets_a_run_in_the_experiment_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[Any] = []
    monkeypatch.setitem(sys.modules, "mlflow", Noted(calls))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracker = MLflow(tmp_path / "tracking")
    tracker.start("shop", "run-1", {"finetune.seed": 3})
    tracker.measured(10, {"finetune/loss": 2.5})
    tracker.finish({"test/recsys/all/ndcg_at_10": 0.5}, [tmp_path / "manifest.json"], failed=True)
    names = [name.removeprefix("MlflowClient").lstrip(".") for name, _, _ in calls]
    assert names == [
        "",
        "get_experiment_by_name",
        "create_experiment",
        "create_run",
        "log_param",
        "log_metric",
        "log_metric",
        "log_artifact",
        "set_terminated",
    ]
    said = {name: (arguments[1:], named) for name, (_, arguments, named) in zip(names, calls, strict=True)}
    assert calls[0][1] == (f"sqlite:///{tmp_path}/tracking/mlflow.db",)
    assert said["log_param"] == (("finetune.seed", 3), {})
    assert calls[5][1][1:] == ("finetune/loss", 2.5)
    assert calls[5][2] == {"step": 10}
    assert said["log_metric"] == (("test/recsys/all/ndcg_at_10", 0.5), {"step": 0})
    assert said["set_terminated"] == (("FAILED",), {})


def test_mlflow_goes_to_the_server_of_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[Any] = []
    monkeypatch.setitem(sys.modules, "mlflow", Noted(calls))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.test")
    MLflow(tmp_path).start("shop", "run-1", {})
    assert calls[0][1] == ("http://mlflow.test",)
    # Where files go is then the server's choice.
    assert calls[2][1] == ("shop", None)


def test_weights_and_biases_gets_a_run_without_machine_or_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[Any] = []
    monkeypatch.setitem(sys.modules, "wandb", Noted(calls))
    tracker = WeightsAndBiases(tmp_path / "tracking")
    tracker.start("shop", "run-1", {"finetune.seed": 3})
    tracker.measured(10, {"finetune/loss": 2.5})
    tracker.finish({"uses_pretrained": 0.0}, [tmp_path / "manifest.json"], failed=False)
    said = {name: (arguments, named) for name, arguments, named in calls}
    hidden = {"disable_git": True, "disable_code": True, "x_disable_meta": True, "x_disable_stats": True}
    assert said["Settings"] == ((), hidden)
    started = said["init"][1]
    assert (started["project"], started["name"], started["config"]) == ("shop", "run-1", {"finetune.seed": 3})
    assert started["dir"] == str(tmp_path / "tracking")
    assert said["init.log"] == (({"finetune/loss": 2.5, "step": 10},), {})
    assert said["init.summary.update"] == (({"uses_pretrained": 0.0},), {})
    assert said["init.save"][0] == (str(tmp_path / "manifest.json"),)
    assert said["init.finish"] == ((), {"exit_code": 0})


@pytest.mark.parametrize(
    ("name", "package"), [("tensorboard", "tensorboardX"), ("mlflow", "mlflow"), ("wandb", "wandb")]
)
def test_a_tracker_whose_package_is_missing_names_it_before_anything_is_trained(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError) as found:
        TRACKERS[name](tmp_path)
    assert found.value.name == package
