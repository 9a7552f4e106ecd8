import json

from recsys.importing import import_tables
from tests.training.retrained import NOW, retrained_project
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


def test_the_report_lies_beside_the_tables_and_says_what_was_beyond_the_cap(tmp_path, tiny_encoder):
    workspace = retrained_project(tmp_path, tiny_encoder)
    path = tmp_path / "interactions.csv"
    robot = [f"robot-{nth},robot,gar-00,view,2024-04-01T12:{nth % 60:02}:00+00:00," for nth in range(2003)]
    path.write_text(path.read_text() + "\n".join(robot) + "\n")
    import_tables(workspace)
    report = check_logs(workspace, NOW)
    written = json.loads(report_path(workspace).read_text())
    assert report.findings == [Finding(**one) for one in written["findings"]]
    [capped] = [one for one in report.findings if one.check == "interactions beyond the cap"]
    assert (capped.level, capped.found) == ("warning", "3 were left out")
    assert report_path(workspace) == tmp_path / "tables" / "checks.json"
