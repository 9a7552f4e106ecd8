import json
from datetime import timedelta

from recsys.importing import import_tables
from tests.training.retrained import NOW, retrained_project, write_until
from training.checks_report import Finding, report_path
from training.data_checks import check_logs, refused


def test_event_types_that_the_configuration_does_not_know_are_named(tmp_path, tiny_encoder):
    workspace = retrained_project(tmp_path, tiny_encoder)
    path = tmp_path / "interactions.csv"
    lines = path.read_text().splitlines()
    few = [line.replace("view", "swipe").replace("event-", "other-") for line in lines[1:40] if "view" in line]
    path.write_text("\n".join([*lines, *few]) + "\n")
    import_tables(workspace)
    [one] = refused(workspace)
    assert (one.level, one.check) == ("warning", "new event types")
    assert one.found.endswith("interactions are of 'swipe'")
    assert "['purchase', 'view']" in one.expected


def test_the_report_lies_beside_the_tables(tmp_path, tiny_encoder):
    workspace = retrained_project(tmp_path, tiny_encoder)
    write_until(tmp_path, 100)
    import_tables(workspace)
    report = check_logs(workspace, NOW - timedelta(days=40))
    written = json.loads(report_path(workspace).read_text())
    assert written["findings"][0]["check"] == "events of the future"
    assert report.errors == [Finding(**written["findings"][0])]
    assert report_path(workspace) == tmp_path / "tables" / "checks.json"
