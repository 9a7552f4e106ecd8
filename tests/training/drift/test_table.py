import io

from rich.console import Console

from recsys.drift import DriftReport
from tests.training.drift.reports import figure, full_report, report_of
from training.drift.table import MOST_NOTES, drift_table


def printed(report: DriftReport) -> str:
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(drift_table(report))
    return console.export_text()


def test_alerts_come_first_then_notes_and_what_is_steady_is_counted():
    lines = printed(full_report()).splitlines()
    rows = [line for line in lines if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == ["alert", "alert", "alert", "note", "note"]
    assert any("clicks" in row and "-40.0%" in row for row in rows)
    assert "7 figures, 3 alerts, 2 notes" in lines
    text = " ".join(lines)
    assert "steady: 0 of 1 features, 0 of 1 scores, 0 of 1 clicks, 1 of 1 unknown users, 1 of 2 topics" in text
    assert "not measured: unknown users and items: the log is short" in lines


def test_no_table_is_shown_where_nothing_moved_and_of_many_notes_only_the_first():
    assert "│" not in printed(report_of(("lamps", "ok")))
    many = [figure("features", f"f{at}", "note", 0.1 + at / 1000) for at in range(MOST_NOTES + 5)]
    text = printed(report_of(figures=many))
    assert text.count("│ note") == MOST_NOTES
    assert "f24" in text
    assert "f4 " not in text
