import json
import os
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
from recsys.bundle import MANIFEST, champion, decision_path, list_bundles, open_bundle
from recsys.drift import read_drift
from recsys.durable import at_once_or_not
from recsys.errors import BundleError, StoreError
from recsys.forgetting.lineage import read_mark
from recsys.forgetting.register import Register
from recsys.shelf import Shelf
from recsys.workspace import RETRAIN_LOCK, Workspace
from tests.serving.shelves import add_bundle
from tests.training.retrained import NOW, retrained_project, write_until
from tests.training.served import SHARE, serve_answers, shift_feature
from training import retraining
from training.checks_report import BrokenLogs
from training.gate import Decision
from training.pipeline import Pipeline
from training.publishing import fill_online
from training.retraining import Outcome, retrain

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


def test_a_champion_that_was_trained_with_a_forgotten_user_is_replaced_though_there_are_too_few_users_to_measure_on(
    first, tmp_path, monkeypatch, capsys
):
    workspace = copied(first, tmp_path)
    before = champion(workspace.bundles).name
    config = tmp_path / "recsys.toml"
    config.write_text(config.read_text().replace("min_users = 20", "min_users = 500"))
    # As a request to a server left it.
    Register(tmp_path).note(["user-07"], datetime.now(UTC))
    monkeypatch.setattr("training.carried_text.CarriedText.carrier", must_not_run)
    assert retrain(Workspace.open(config), now=NOW) == Outcome.PROMOTED
    said = capsys.readouterr()
    assert f"{before} was trained with forgotten users and has to go all the same" in said.err
    assert "user-07" not in said.out + said.err
    bundle = open_bundle(champion(workspace.bundles))
    assert [one.done for one in Register(tmp_path).users()] == [True]
    assert read_mark(workspace.bundles, before) is not None
    assert read_mark(workspace.bundles, bundle.path.name) is None
    decision = decision_on(workspace, bundle.path.name)
    assert (decision.contest, decision.reasons, len(decision.warnings)) == (None, [], 1)
    monkeypatch.setattr(retraining, "Pipeline", must_not_run)
    assert retrain(Workspace.open(config), now=NOW) == Outcome.KEPT


def test_two_at_once_are_one_and_the_other_says_so(first, tmp_path, monkeypatch, capsys):
    workspace = copied(first, tmp_path)
    monkeypatch.setattr(retraining, "import_tables", must_not_run)
    with at_once_or_not(workspace.root / RETRAIN_LOCK) as free:
        assert free
        assert retrain(workspace, now=NOW) == Outcome.BUSY
    assert "another retraining of this project runs" in capsys.readouterr().err


def served(first: Path, root: Path, *, answers: int, settings: str = "") -> Workspace:
    """The shop of `first` once its server has given answers, and after that more has happened."""
    workspace = copied(first, root)
    with (root / "recsys.toml").open("a") as file:
        file.write(SHARE + settings)
    workspace = Workspace.open(root / "recsys.toml")
    pipeline = Pipeline(workspace, cut=open_bundle(champion(workspace.bundles)).manifest.trained_until)
    pipeline.compute_features()
    fill_online(pipeline)
    serve_answers(workspace, answers=answers)
    write_until(root, MORE)
    return workspace


def test_a_challenger_takes_the_place_of_a_champion_that_served_what_training_computes_and_the_oldest_bundles_go(
    first, tmp_path, capsys
):
    workspace = served(first, tmp_path, answers=5, settings="[bundles]\nkeep = 1\n")
    before = champion(workspace.bundles)
    for name in ("older", "oldest"):
        add_bundle(before, name)
        os.utime(workspace.bundles / name / MANIFEST, (0, 0))
    assert retrain(workspace, now=NOW) == Outcome.PROMOTED
    now = champion(workspace.bundles)
    parity = decision_on(workspace, now.name).parity
    assert (parity.replayed, parity.findings) == (5, [])
    assert set(list_bundles(workspace.bundles)) == {before, now}
    assert "older is deleted, beyond the 1 newest" in capsys.readouterr().err


def test_a_feature_that_was_served_otherwise_than_it_is_computed_keeps_the_champion_and_is_named(first, tmp_path):
    workspace = served(first, tmp_path, answers=5)
    shift_feature(workspace, "item_users")
    before = champion(workspace.bundles)
    assert retrain(workspace, now=NOW) == Outcome.KEPT
    assert champion(workspace.bundles) == before
    [path] = [path for path in workspace.bundles.glob("*.decision.json") if not path.name.startswith(before.name)]
    [reason] = msgspec.json.decode(path.read_bytes(), type=Decision).reasons
    assert reason.startswith("parity: item_users, ")


def test_a_few_answers_say_nothing(first, tmp_path):
    workspace = served(first, tmp_path, answers=4)
    shift_feature(workspace, "item_users")
    assert retrain(workspace, now=NOW) == Outcome.PROMOTED


def with_store(workspace: Workspace, url: str) -> Workspace:
    config = workspace.root / "recsys.toml"
    config.write_text(f'{config.read_text()}\n[bundles]\nurl = "{url}"\n')
    return Workspace.open(config)


def test_what_is_promoted_and_what_the_gate_said_is_in_the_store_for_other_machines(first, tmp_path):
    for name in ("store", "other"):
        (tmp_path / name).mkdir()
    workspace = with_store(copied(first, tmp_path / "shop"), f"file://{tmp_path}/store")
    before = champion(workspace.bundles).name
    write_until(workspace.root, MORE)
    assert retrain(workspace, now=NOW) == Outcome.PROMOTED
    other = Shelf(with_store(retrained_project(tmp_path / "other", tmp_path), f"file://{tmp_path}/store"))
    found = other.follow()
    assert (found.champion, found.before) == (champion(workspace.bundles).name, before)
    assert open_bundle(champion(other.path)).manifest == open_bundle(champion(workspace.bundles)).manifest
    told = msgspec.json.decode(decision_path(other.path, found.champion).read_bytes(), type=Decision)
    assert told == decision_on(workspace, found.champion)


def test_a_store_that_does_not_answer_stops_it_before_anything_is_trained(first, tmp_path, monkeypatch):
    workspace = with_store(copied(first, tmp_path / "shop"), f"file://{tmp_path}/not_mounted")
    before = champion(workspace.bundles)
    write_until(workspace.root, MORE)
    monkeypatch.setattr(retraining, "Pipeline", must_not_run)
    with pytest.raises(StoreError, match="not_mounted"):
        retrain(workspace, now=NOW)
    assert champion(workspace.bundles) == before


def test_what_another_machine_has_promoted_meanwhile_is_not_replaced_by_what_was_measured_against_the_one_before(
    first, tmp_path, monkeypatch
):
    (tmp_path / "store").mkdir()
    workspace = with_store(copied(first, tmp_path / "shop"), f"file://{tmp_path}/store")
    add_bundle(champion(workspace.bundles), "meanwhile")
    write_until(workspace.root, MORE)
    right = retraining.decide

    def late(*arguments: object, **named: object) -> Decision:
        Shelf(workspace).promote("meanwhile")
        return right(*arguments, **named)

    monkeypatch.setattr(retraining, "decide", late)
    with pytest.raises(BundleError, match="meanwhile was made champion meanwhile"):
        retrain(workspace, now=NOW)
    assert champion(workspace.bundles).name == "meanwhile"


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
        "recsys.shelf.promote",
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
