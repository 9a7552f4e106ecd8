from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from recsys.config import Text
from tests.training.project import config_of, shop_project
from training import tracking as module
from training.commands import train
from training.pipeline import Pipeline
from training.tracking import Watch, final_metrics, parameters_of

CONFIG = config_of(seed=3, learning_rate=0.001)
ABOUT = {
    "uses_pretrained": False,
    "validation": {"pretrained": {"unseen": 0.1}, "finetuned": {"unseen": 0.2}},
    "curve": [
        {"step": 0, "loss": None, "unseen": 0.1, "held_out": 0.0},
        {"step": 10, "loss": 2.5, "unseen": 0.15},
        {"step": 20, "loss": 2.0, "unseen": 0.2},
    ],
}
REPORT = {"models": {"recsys": {"all": {"ndcg@10": 0.5, "ndcg@10_ci": [0.4, 0.6]}, "cold": None}}}


class Listening:
    """A tracker that keeps what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[Any] = []

    def start(self, project: str, run: str, parameters: Mapping[str, Any]) -> None:
        self.said.append((project, run, parameters["finetune.seed"]))

    def measured(self, step: int, values: Mapping[str, float]) -> None:
        self.said.append((step, dict(values)))

    def finish(self, metrics: Mapping[str, float], artifacts: Sequence[Path], *, failed: bool) -> None:
        self.said.append((dict(metrics), list(artifacts), failed))


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> list[Listening]:
    made: list[Listening] = []

    def make(folder: Path) -> Listening:
        made.append(Listening(folder))
        return made[-1]

    monkeypatch.setattr(module, "TRACKERS", {"one": make, "two": make, "tensorboard": make})
    return made


def test_every_tracker_is_told_the_settings_each_measurement_and_the_end(listening, tmp_path):
    watch = Watch(["one", "two", "one"], tmp_path)
    with watch.run(CONFIG, "bundle-1"):
        watch.measured(10, {"loss": 2.5})
        watch.finish({**ABOUT, "curve": []}, None, [tmp_path / "manifest.json"])
    final = {"uses_pretrained": 0.0, "validation/pretrained/unseen": 0.1, "validation/finetuned/unseen": 0.2}
    assert len(listening) == 2
    for tracker in listening:
        assert tracker.folder == tmp_path / "tracking"
        assert tracker.said == [
            ("test", "bundle-1", 3),
            (10, {"finetune/loss": 2.5}),
            (final, [tmp_path / "manifest.json"], False),
        ]


def test_measurements_of_a_run_that_was_killed_or_of_a_training_that_is_reused_are_told_too(listening, tmp_path):
    watch = Watch(["one"], tmp_path)
    with watch.run(CONFIG, "bundle-1"):
        watch.measured(20, {"loss": 2.0, "unseen": 0.2})
        watch.finish(ABOUT, None, [])
    assert listening[0].said[2:4] == [
        (0, {"finetune/unseen": 0.1, "finetune/held_out": 0.0}),
        (10, {"finetune/loss": 2.5, "finetune/unseen": 0.15}),
    ]
    assert len(listening[0].said) == 5


def test_recsys_train_tells_the_tracker_each_measurement_and_what_was_published(listening, tmp_path, tiny_encoder):
    workspace = shop_project(tmp_path, tiny_encoder)
    done = CliRunner().invoke(train, ["--config", str(workspace.root / "recsys.toml"), "--track", "tensorboard"])
    assert done.exit_code == 0, done.output
    (tracker,) = listening
    run, *measured, (metrics, artifacts, failed) = tracker.said
    assert [step for step, _ in measured] == [0, 10]
    assert set(measured[1][1]) == {"finetune/loss", "finetune/unseen", "finetune/held_out"}
    assert {"uses_pretrained", "validation/pretrained/unseen", "test/recsys/all/ndcg_at_10"} <= set(metrics)
    assert [path.name for path in artifacts] == ["manifest.json"]
    assert artifacts[0].parent.name == run[1]
    assert not failed


def test_a_training_that_breaks_off_is_marked_as_failed(listening, tmp_path):
    with pytest.raises(KeyboardInterrupt), Watch(["one"], tmp_path).run(CONFIG, "bundle-1"):
        raise KeyboardInterrupt
    assert listening[0].said[-1] == ({}, [], True)


def test_the_settings_are_those_of_learning_and_hold_no_path_of_this_machine():
    found = parameters_of(msgspec.structs.replace(CONFIG, text=Text(encoder="/home/ann/encoders/tiny")))
    assert (found["finetune.learning_rate"], found["interaction_types.view.weight"]) == (0.001, 0.2)
    assert found["text.encoder"] == "tiny"
    assert {name.partition(".")[0] for name in found} <= {
        "interaction_types",
        "text",
        "split",
        "finetune",
        "retrieval",
        "ranker",
    }
    assert "ann" not in str(found)
    assert parameters_of(msgspec.structs.replace(CONFIG, text=Text(encoder="org/tiny")))["text.encoder"] == "org/tiny"


def test_the_final_metrics_are_validation_and_test_without_intervals():
    assert final_metrics(ABOUT, REPORT) == {
        "uses_pretrained": 0.0,
        "validation/pretrained/unseen": 0.1,
        "validation/finetuned/unseen": 0.2,
        "test/recsys/all/ndcg_at_10": 0.5,
    }


def test_the_text_stage_tells_its_watcher_while_it_learns(tmp_path, tiny_encoder):
    class StoppedError(Exception):
        pass

    def stop_after_two(step: int, values: Mapping[str, float]) -> None:
        told.append(step)
        if step == 10:
            raise StoppedError

    told: list[int] = []
    workspace = shop_project(tmp_path, tiny_encoder)
    pipeline = Pipeline(workspace, cut=workspace.config.split.test_start, measured=stop_after_two)
    with pytest.raises(StoppedError):
        _ = pipeline.text
    assert told == [0, 10]
