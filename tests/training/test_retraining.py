import json
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from features.daily.aggregates import DailyAggregates
from features.store import BehaviourStore
from recsys.bundle import champion, decision_path, list_bundles, open_bundle
from recsys.drift import read_drift
from recsys.durable import at_once_or_not
from recsys.workspace import Workspace
from tests.training.retrained import NOW, retrained_project, write_until
from training import retraining
from training.checks_report import BrokenLogs
from training.gate import Decision
from training.retraining import LOCK, Outcome, retrain

MORE = 113
"""Days that the log has when there is more of it."""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """The shop after the first 100 days, retrained once. Its margin lets all but the worst in."""
    root = tmp_path_factory.mktemp("first")
    workspace = retrained_project(root, tiny_encoder, day=100, margin=-0.9)
    assert retrain(workspace, now=NOW) == Outcome.PROMOTED
    return root


def copied(first: Path, root: Path, *, margin: float | None = None) -> Workspace:
    """The shop of `first`, to go on with: Feast's registry names its files by their place, so it is made anew."""
    shutil.copytree(first, root, dirs_exist_ok=True)
    shutil.rmtree(root / "features")
    if margin is not None:
        config = root / "recsys.toml"
        config.write_text(config.read_text().replace("margin = -0.9", f"margin = {margin}"))
    return Workspace.open(root / "recsys.toml")


def decision_on(workspace: Workspace, name: str) -> Decision:
    return msgspec.json.decode(decision_path(workspace.bundles, name).read_bytes(), type=Decision)


def must_not_run(*_: object, **__: object) -> None:
    raise AssertionError("trained")


def test_without_a_champion_the_first_bundle_is_promoted_and_does_not_know_the_days_it_will_be_measured_on(first):
    workspace = Workspace.open(first / "recsys.toml")
    bundle = open_bundle(champion(workspace.bundles))
    decision = decision_on(workspace, bundle.path.name)
    assert (decision.champion, decision.contest, decision.leaks) == (None, None, [])
    assert (
        bundle.manifest.trained_until
        == decision.measured_from
        == decision.measured_until - timedelta(days=14, microseconds=1)
    )


def test_with_nothing_new_nothing_is_trained(first, tmp_path, monkeypatch, capsys):
    workspace = copied(first, tmp_path)
    monkeypatch.setattr(retraining, "Pipeline", must_not_run)
    assert retrain(workspace, now=NOW) == Outcome.KEPT
    assert "nothing new since the latest retraining" in capsys.readouterr().err


def test_what_is_new_makes_a_new_champion_with_the_text_model_of_the_old_and_figures_on_days_that_neither_saw(
    first, tmp_path, monkeypatch
):
    workspace = copied(first, tmp_path)
    before = champion(workspace.bundles).name
    write_until(tmp_path, MORE)
    monkeypatch.setattr("training.pipeline.finetune", must_not_run)
    assert retrain(workspace, now=NOW) == Outcome.PROMOTED
    bundle = open_bundle(champion(workspace.bundles))
    decision = decision_on(workspace, bundle.path.name)
    assert (decision.champion, decision.promoted) == (before, True)
    assert decision.measured_from == bundle.manifest.trained_until > datetime(2024, 4, 7, tzinfo=UTC)
    assert decision.contest.whole.users > 50
    assert bundle.manifest.metrics["all"]["ndcg@10"] == pytest.approx(decision.contest.whole.challenger)
    assert bundle.manifest.text["trained_until"] < bundle.manifest.trained_until.isoformat()
    assert BehaviourStore.of(workspace).online_as_of() == decision.measured_until


def test_drift_is_measured_and_stands_in_the_decision_and_trackers_are_told_of_all_of_it(
    first, tmp_path, monkeypatch, capsys
):
    workspace = copied(first, tmp_path)
    before = champion(workspace.bundles).name
    write_until(tmp_path, MORE)
    told = []
    monkeypatch.setattr(retraining, "tell", lambda workspace, found: told.append(found))
    assert retrain(workspace, now=NOW) == Outcome.PROMOTED
    report = read_drift(workspace.drift)
    assert (report.champion, report.measured_at) == (before, NOW)
    decision = decision_on(workspace, champion(workspace.bundles).name)
    assert decision.drift == [str(figure) for figure in report.alerts]
    assert "not measured: clicks: no impressions were imported" in capsys.readouterr().err
    (found,) = told
    assert (found.drift, found.decision, found.outcome) == (report, decision, "promoted")
    assert (found.champion, found.cut) == (before, decision.measured_from)
    # With nothing new nobody is told anything.
    assert retrain(workspace, now=NOW) == Outcome.KEPT
    assert len(told) == 1


def test_drift_that_cannot_be_measured_stops_nothing(first, tmp_path, monkeypatch, capsys):
    workspace = copied(first, tmp_path)
    write_until(tmp_path, MORE)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(retraining, "observe", fail)
    assert retrain(workspace, dry_run=True, now=NOW) == Outcome.PROMOTED
    assert "the drift is not measured: RuntimeError: no memory" in capsys.readouterr().err


def test_a_dry_run_decides_the_same_and_changes_no_bundle(first, tmp_path):
    workspace = copied(first, tmp_path)
    before = champion(workspace.bundles), list_bundles(workspace.bundles), workspace.retrain.read_bytes()
    write_until(tmp_path, MORE)
    assert retrain(workspace, dry_run=True, now=NOW) == Outcome.PROMOTED
    assert before == (champion(workspace.bundles), list_bundles(workspace.bundles), workspace.retrain.read_bytes())
    assert len(list(workspace.bundles.glob("*.decision.json"))) == 1


def test_a_challenger_that_saw_the_future_is_refused_and_servers_get_the_features_of_now(first, tmp_path, monkeypatch):
    workspace = copied(first, tmp_path)
    before = champion(workspace.bundles)
    write_until(tmp_path, MORE)
    honest = DailyAggregates.between

    def leaking(days: DailyAggregates, since: datetime | None, until: datetime) -> object:
        until += timedelta(days=7 * (until.month == 3))
        days.update(until)
        return honest(days, since, until)

    monkeypatch.setattr(DailyAggregates, "between", leaking)
    assert retrain(workspace, now=NOW) == Outcome.KEPT
    assert champion(workspace.bundles) == before
    [path] = [path for path in workspace.bundles.glob("*.decision.json") if not path.name.startswith(before.name)]
    decision = msgspec.json.decode(path.read_bytes(), type=Decision)
    assert decision.reasons[0].startswith("leak: window 2024-03-")
    assert BehaviourStore.of(workspace).online_as_of() == decision.measured_until


def test_a_challenger_that_is_not_surely_better_than_the_margin_is_refused_and_not_trained_again(
    first, tmp_path, monkeypatch
):
    workspace = copied(first, tmp_path, margin=0.5)
    before = champion(workspace.bundles)
    write_until(tmp_path, MORE)
    assert retrain(workspace, now=NOW) == Outcome.KEPT
    assert champion(workspace.bundles) == before
    with monkeypatch.context() as patch:
        patch.setattr(retraining, "Pipeline", must_not_run)
        assert retrain(workspace, now=NOW) == Outcome.KEPT
    # Under another margin it is judged anew, and still not trained.
    config = tmp_path / "recsys.toml"
    config.write_text(config.read_text().replace("margin = 0.5", "margin = -0.9"))
    monkeypatch.setattr("training.pipeline.train_ranker", must_not_run)
    assert retrain(Workspace.open(config), now=NOW) == Outcome.PROMOTED


def test_broken_logs_stop_it_with_a_report_and_the_champion_stays(first, tmp_path, monkeypatch):
    workspace = copied(first, tmp_path)
    before = champion(workspace.bundles)
    write_until(tmp_path, MORE)
    path = tmp_path / "interactions.csv"
    lines = path.read_text().splitlines()
    storm = [f"storm-{nth},user-01,gar-00,view,2024-04-20T12:00:{nth % 60:02}+00:00," for nth in range(3000)]
    path.write_text("\n".join([*lines, *storm]) + "\n")
    monkeypatch.setattr(retraining, "Pipeline", must_not_run)
    with pytest.raises(BrokenLogs, match=r"the champion stays:(.|\n)*share of one user: found \d\d"):
        retrain(workspace, now=NOW)
    assert champion(workspace.bundles) == before
    report = json.loads((tmp_path / "tables" / "checks.json").read_text())
    assert {one["check"] for one in report["findings"]} >= {"repeated events", "share of one user", "share of one item"}


def test_an_import_that_refuses_too_much_stops_it_with_a_report(first, tmp_path):
    workspace = copied(first, tmp_path)
    path = tmp_path / "interactions.csv"
    path.write_text(path.read_text().replace(",view,", ",swipe,"))
    with pytest.raises(BrokenLogs, match="were refused"):
        retrain(workspace, now=NOW)
    report = json.loads((tmp_path / "tables" / "checks.json").read_text())
    assert report["findings"][0]["check"] == "import"


def test_too_few_users_to_measure_on_train_nothing(first, tmp_path, monkeypatch, capsys):
    workspace = copied(first, tmp_path)
    config = tmp_path / "recsys.toml"
    config.write_text(config.read_text().replace("min_users = 20", "min_users = 500"))
    monkeypatch.setattr(retraining._Retraining, "_decision", must_not_run)
    write_until(tmp_path, MORE)
    assert retrain(Workspace.open(config), now=NOW) == Outcome.KEPT
    assert "users to measure on after" in capsys.readouterr().err
    assert champion(workspace.bundles).name.startswith("made-up-shop-20240326")


def test_two_at_once_are_one_and_the_other_says_so(first, tmp_path, monkeypatch, capsys):
    workspace = copied(first, tmp_path)
    monkeypatch.setattr(retraining, "import_tables", must_not_run)
    with at_once_or_not(workspace.root / LOCK) as free:
        assert free
        assert retrain(workspace, now=NOW) == Outcome.BUSY
    assert "another retraining of this project runs" in capsys.readouterr().err


KILLED = """
import os, signal, sys
from datetime import datetime, UTC
from pathlib import Path
from importlib import import_module
from recsys.workspace import Workspace
from training.retraining import retrain

module, name = sys.argv[2].rsplit(".", 1)
setattr(import_module(module), name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
retrain(Workspace.open(Path(sys.argv[1])), now=datetime.fromisoformat(sys.argv[3]))
"""


def test_runs_that_are_killed_end_in_the_same_state_as_one_that_is_not(first, tmp_path, capsys):
    whole, killed = copied(first, tmp_path / "whole"), copied(first, tmp_path / "killed")
    for workspace in (whole, killed):
        write_until(workspace.root, MORE)
    assert retrain(whole, now=NOW) == Outcome.PROMOTED
    before = champion(killed.bundles)
    for moment in (
        "training.pipeline.train_ranker",
        "training.retraining.write_decision",
        "training.publishing.promote",
    ):
        assert champion(killed.bundles) == before
        run = [sys.executable, "-c", KILLED, killed.root / "recsys.toml", moment, NOW.isoformat()]
        assert subprocess.run(run, capture_output=True, check=False).returncode == -signal.SIGKILL
    capsys.readouterr()
    assert retrain(killed, now=NOW) == Outcome.PROMOTED
    said = capsys.readouterr().err
    assert "training the ranker" not in said
    assert "decided before; not measured again" in said
    found, expected = (open_bundle(champion(workspace.bundles)).manifest for workspace in (killed, whole))
    assert (found.bundle_id, found.files) == (expected.bundle_id, expected.files)
    assert json.loads(killed.retrain.read_bytes()) == json.loads(whole.retrain.read_bytes())
    assert decision_on(killed, found.bundle_id).contest.whole == decision_on(whole, found.bundle_id).contest.whole


def test_a_run_that_was_killed_after_its_bundle_was_promoted_is_ended_by_the_next_one(first, tmp_path, monkeypatch):
    workspace = copied(first, tmp_path)
    run = msgspec.json.decode(workspace.retrain.read_bytes(), type=retraining.Run)
    workspace.retrain.write_bytes(msgspec.json.encode(msgspec.structs.replace(run, outcome=None)))
    monkeypatch.setattr(retraining, "Pipeline", must_not_run)
    assert retrain(workspace, now=NOW) == Outcome.PROMOTED
    assert msgspec.json.decode(workspace.retrain.read_bytes(), type=retraining.Run) == run
