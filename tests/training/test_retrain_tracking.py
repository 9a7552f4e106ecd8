import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recsys.config import Drift, Retrain
from recsys.workspace import Workspace
from tests.training.drift.reports import full_report
from tests.training.project import at, config_of
from tests.training.retrained import NOW
from training import retrain_tracking as module
from training.checks_report import ChecksReport, Finding
from training.contest import Contest, Difference
from training.gate import Decision
from training.retrain_tracking import Told, artifacts, metrics, parameters, run_name, tell, wanted


def difference(name: str) -> Difference:
    return Difference(
        name=name, users=60, few=False, champion=0.25, challenger=0.5, difference=0.25, ci=(0.125, 0.375), p=0.01
    )


CONTEST = Contest(
    metric="ndcg@10",
    whole=difference("all"),
    slices=[difference("category: mugs & cups")],
    calibration={},
    milliseconds={"champion": 2.0, "challenger": 3.0},
    metrics={"all": {"recall@10": 0.75, "recall@10_ci": [0.5, 1.0]}},
)
DECISION = Decision(
    challenger="shop-2",
    champion="shop-1",
    promoted=True,
    decided_at=NOW,
    measured_from=at(0),
    measured_until=at(1),
    reasons=[],
    warnings=[],
    margin=-0.02,
    leaks=[],
    bytes={"champion": 10, "challenger": 20},
    contest=CONTEST,
)
CHECKS = ChecksReport(NOW, None, None, [Finding("warning", "volume", "few", "more")])
TOLD = Told("0123456789", "shop-1", at(0), CHECKS, full_report(), DECISION, "promoted")


def workspace_of(root: Path, **settings: Any) -> Workspace:
    config = msgspec.structs.replace(
        config_of(seed=3), retrain=Retrain(**settings), drift=Drift(webhook="http://chat.test/sesame")
    )
    return Workspace(root, config)


class Listening:
    """A tracker that keeps what it is told."""

    made: "list[Listening]"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[Any] = []
        self.made.append(self)

    def start(self, *said: Any) -> None:
        self.said.append(said)

    def finish(self, *said: Any, failed: bool) -> None:
        self.said.append((*said, failed))


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> list[Listening]:
    Listening.made = []
    monkeypatch.setattr(module, "TRACKERS", {"mlflow": Listening, "tensorboard": Listening})
    return Listening.made


def test_a_tracker_is_told_settings_figures_and_files_of_the_retraining(listening, tmp_path):
    tell(workspace_of(tmp_path, trackers=("mlflow",)), TOLD)
    (tracker,) = listening
    (project, run, settings), (figures, files, failed) = tracker.said
    assert (tracker.folder, project, run, failed) == (tmp_path / "tracking", "test", "shop-2", False)
    assert (settings["key"], settings["champion"], settings["outcome"]) == ("0123456789", "shop-1", "promoted")
    assert settings["cut"] == at(0).isoformat()
    assert figures["promoted"] == 1
    assert [path.name for path in files] == ["checks.json", "drift.json", "drift.html", "shop-2.decision.json"]


def test_figures_are_those_of_checks_drift_and_decision_under_names_that_mlflow_takes():
    found = metrics(TOLD)
    assert (found["checks/warnings"], found["checks/errors"]) == (1, 0)
    assert (found["drift/alerts"], found["drift/features/item_users_7d"], found["drift/clicks/clicks"]) == (
        3,
        0.5,
        -0.4,
    )
    assert found["contest/ndcg_at_10/all/difference"] == 0.25
    assert found["contest/ndcg_at_10/category_ mugs _ cups/low"] == 0.125
    assert (found["bytes/challenger"], found["milliseconds/challenger"], found["test/recsys/all/recall_at_10"]) == (
        20,
        3,
        0.75,
    )
    assert not [name for name in found if name.endswith("_ci") or "<" in name]


def test_settings_hold_no_secret_and_no_path(tmp_path):
    found = parameters(workspace_of(tmp_path), TOLD)
    assert (found["finetune.seed"], found["gate.days"], found["drift.days"]) == (3, 14, 7)
    assert "sesame" not in str(found)
    assert str(tmp_path) not in str(found)


def test_one_that_failed_is_told_with_what_was_known_by_then(listening, tmp_path):
    told = Told(checks=CHECKS)
    tell(workspace_of(tmp_path, trackers=("mlflow",)), told)
    (_, run, settings), (figures, files, failed) = listening[0].said
    assert (run, settings["outcome"], figures, failed) == (
        "retrain",
        "failed",
        {"checks/errors": 0, "checks/warnings": 1},
        True,
    )
    assert [path.name for path in files] == ["checks.json"]
    assert run_name(Told(key="0123456789")) == "retrain-01234567"


def test_by_default_mlflow_is_told_where_it_is_installed_and_else_nobody(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: object())
    assert wanted(Retrain()) == ("mlflow",)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert wanted(Retrain()) == ()
    assert wanted(Retrain(trackers=("tensorboard", "tensorboard"))) == ("tensorboard",)
    assert wanted(Retrain(trackers=())) == ()


@pytest.mark.parametrize("error", [OSError("no space"), RuntimeError("no server")])
def test_a_tracker_that_fails_is_a_warning_and_the_others_are_told(listening, tmp_path, monkeypatch, capsys, error):
    def fail(*_: Any) -> None:
        raise error

    class Failing(Listening):
        start = fail

    monkeypatch.setitem(module.TRACKERS, "mlflow", Failing)
    tell(workspace_of(tmp_path, trackers=("mlflow", "tensorboard")), TOLD)
    assert f"warning: mlflow was not told of the retraining: {type(error).__name__}: {error}" in capsys.readouterr().err
    assert len(listening[-1].said) == 2


def test_one_whose_extra_is_missing_is_named_with_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    tell(workspace_of(tmp_path, trackers=("mlflow",)), TOLD)
    assert "install recsys[mlflow]" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_a_real_mlflow_keeps_it_in_a_file_of_the_project(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace = workspace_of(tmp_path)
    for path in artifacts(workspace, TOLD):
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    tell(workspace, TOLD)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/tracking/mlflow.db")
    experiment = client.get_experiment_by_name("test")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("shop-2", "FINISHED")
    assert run.data.params["champion"] == "shop-1"
    assert run.data.metrics["contest/ndcg_at_10/all/difference"] == 0.25
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {
        *("checks.json", "drift.json", "drift.html", "shop-2.decision.json")
    }
