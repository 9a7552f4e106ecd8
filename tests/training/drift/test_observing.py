import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from recsys.bundle import champion, open_bundle
from recsys.drift import DriftReport, read_drift
from recsys.durable import at_once_or_not
from recsys.importing import import_tables
from recsys.workspace import RETRAIN_LOCK, Workspace
from tests.shop import FIRST_DAY, write_shop
from tests.training.drift.reports import report_of
from tests.training.drift.test_webhook import Hook, hook  # noqa: F401  # a fixture
from tests.training.project import write_config
from tests.training.retrained import NOW, retrained_project, write_until
from training.drift import command, measure, observing
from training.drift.measure import NO_CHAMPION, measure_drift
from training.drift.observing import PAGE, observe
from training.retraining import retrain


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """The shop after a retraining on 100 days, and what 13 days more brought."""
    root = tmp_path_factory.mktemp("drift")
    workspace = retrained_project(root, tiny_encoder, day=100, margin=-0.9)
    retrain(workspace, now=NOW)
    write_until(root, 113)
    import_tables(workspace)
    return root


def with_drift(root: Path, **settings: object) -> Workspace:
    config = root / "recsys.toml"
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    config.write_text(config.read_text() + f"[drift]\n{lines}")
    return Workspace.open(config)


def of_shop(shop: Path, root: Path) -> Path:
    """A copy to change."""
    shutil.copytree(shop, root, dirs_exist_ok=True)
    shutil.rmtree(root / "features")
    return root


def test_a_shop_that_goes_on_as_before_is_measured_whole_and_at_most_features_move(shop):
    workspace = Workspace.open(shop / "recsys.toml")
    bundle = open_bundle(champion(workspace.bundles))
    report = observe(workspace, bundle, NOW)
    assert read_drift(workspace.drift) == report
    assert (shop / PAGE).read_text().count("<svg") == 3
    assert {figure.kind for figure in report.figures} == {
        *("features", "scores", "unknown_users", "unknown_items", "topics", "feedback")
    }
    assert list(report.unmeasured) == ["clicks"]
    assert report.features_of == "computed"
    names = {figure.name for figure in report.figures if figure.kind == "features"}
    assert names == set(bundle.manifest.features) - {"item_age_days", "item_published_at_days", "user_age_days"}
    assert report.reference.until == bundle.manifest.trained_until
    assert report.latest.until - report.latest.since == timedelta(days=7, microseconds=1)
    # A log of a hundred days is young: what counts all of it grows.
    assert {figure.kind for figure in report.alerts} <= {"features"}
    # Again: the same, to the last digit.
    assert measure_drift(workspace, bundle, NOW).figures == report.figures


def test_strangers_who_come_all_at_once_are_an_alert(shop, tmp_path):
    root = of_shop(shop, tmp_path)
    path = root / "interactions.csv"
    day = (FIRST_DAY + timedelta(days=112)).date()
    come = [f"strange-{at},stranger-{at},gar-01,view,{day}T09:{at:02}:00+00:00," for at in range(60)]
    path.write_text("\n".join([path.read_text().rstrip(), *come]) + "\n")
    workspace = Workspace.open(root / "recsys.toml")
    import_tables(workspace)
    report = measure_drift(workspace, open_bundle(champion(workspace.bundles)), NOW)
    assert report.days[-1].unknown_users == 60
    (strangers,) = [figure for figure in report.alerts if figure.kind == "unknown_users"]
    assert strangers.before == 0
    assert strangers.now == 60 / sum(one.users for one in report.days[-7:])


def test_without_a_champion_it_says_so_and_measures_the_rest(tmp_path, tiny_encoder):
    write_shop(tmp_path, format="csv", bad_rows=False)
    workspace = write_config(tmp_path, tiny_encoder)
    import_tables(workspace)
    report = measure_drift(workspace, None, NOW)
    assert report.unmeasured["features and scores"] == report.unmeasured["topics"] == NO_CHAMPION
    assert (report.champion, report.features_of, report.topics) == (None, None, [])
    assert {figure.kind for figure in report.figures} == {"unknown_users", "unknown_items", "feedback"}


def test_an_alert_is_sent_once_until_it_is_over(hook, shop, tmp_path, monkeypatch):  # noqa: F811
    workspace = with_drift(of_shop(shop, tmp_path), webhook=hook.address)
    reports = [
        report_of(("lamps", "alert")),
        report_of(("lamps", "alert")),
        report_of(("lamps", "alert"), ("mugs", "alert")),
        report_of(("mugs", "alert")),
        report_of(("lamps", "alert"), ("mugs", "alert")),
    ]
    monkeypatch.setattr(observing, "measure_drift", lambda *_: reports.pop(0))
    told = [observe(workspace, None, NOW).told for _ in range(5)]
    assert [[one["name"] for one in body["alerts"]] for body in hook.bodies] == [["lamps"], ["mugs"], ["lamps"]]
    assert told[-1] == ["topics/lamps", "topics/mugs"]


def test_a_webhook_that_fails_is_a_warning_and_is_told_the_next_time(hook, shop, tmp_path, monkeypatch, capsys):  # noqa: F811
    workspace = with_drift(of_shop(shop, tmp_path), webhook=hook.address)
    monkeypatch.setattr(observing, "measure_drift", lambda *_: report_of(("lamps", "alert")))
    hook.statuses = [404, 200]
    assert observe(workspace, None, NOW).told == []
    assert "warning: drift.webhook: it answered 404" in capsys.readouterr().err
    assert observe(workspace, None, NOW, send=False).told == []
    assert observe(workspace, None, NOW).told == ["topics/lamps"]
    assert len(hook.bodies) == 2


@pytest.mark.parametrize(
    ("arguments", "level", "code"), [([], "alert", 0), (["--check"], "alert", 3), (["--check"], "note", 0)]
)
def test_the_command_prints_what_moved_and_checks_only_if_asked_to(shop, monkeypatch, arguments, level, code):
    def found(*_: object) -> DriftReport:
        return report_of(("lamps", level))

    monkeypatch.setattr(observing, "measure_drift", found)
    done = CliRunner().invoke(command.drift, ["--config", str(shop / "recsys.toml"), *arguments])
    assert done.exit_code == code, done.output
    assert "lamps" in done.output
    assert f"drift: {shop / PAGE}" in done.output.replace("\n", "")


def test_the_command_ends_when_a_retraining_runs(shop, monkeypatch):
    monkeypatch.setattr(measure, "Pipeline", None)
    with at_once_or_not(shop / RETRAIN_LOCK):
        done = CliRunner().invoke(command.drift, ["--config", str(shop / "recsys.toml")])
    assert done.exit_code == 4
    assert "a retraining of this project runs" in done.stderr
