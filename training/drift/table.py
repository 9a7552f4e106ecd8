"""What has moved, as a table for the terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from recsys.drift import KINDS, DriftReport

STYLES = {"alert": "bold red", "note": "yellow"}
MOST_NOTES = 20


def drift_table(report: DriftReport) -> RenderableType:
    """Alerts and notes, those that moved most first; then what did not move, and what could not be measured."""
    shown = [*report.alerts, *report.at_level("note")[:MOST_NOTES]]
    span = "{:%Y-%m-%d} to {:%Y-%m-%d}"
    latest, reference = (span.format(one.since, one.until) for one in (report.latest, report.reference))
    table = Table(title=f"drift, {latest} against {reference}", title_justify="left")
    for name in ("", "what", "", "moved", "by chance", "before", "now"):
        table.add_column(name, justify="left" if name in ("", "what") else "right", no_wrap=name != "")
    for one in shown:
        name = "" if one.name == one.kind else one.name
        moved = f"{one.value:+.1%}" if one.kind == "clicks" else f"{one.value:.3f}"
        chance = f"{one.chance:.1%}" if one.kind == "clicks" else f"{one.chance:.3f}"
        cells = [one.level, one.kind.replace("_", " "), name, moved, chance, f"{one.before:.4g}", f"{one.now:.4g}"]
        table.add_row(*(Text(cell) for cell in cells), style=STYLES[one.level])
    lines = [f"{len(report.figures)} figures, {len(report.alerts)} alerts, {len(report.at_level('note'))} notes"]
    steady = [
        f"{sum(one.level == 'ok' for one in of_kind)} of {len(of_kind)} {kind.replace('_', ' ')}"
        for kind in KINDS
        if (of_kind := [one for one in report.figures if one.kind == kind])
    ]
    if steady:
        lines.append(f"steady: {', '.join(steady)}")
    lines += [f"not measured: {what}: {why}" for what, why in report.unmeasured.items()]
    parts: list[RenderableType] = [table] if shown else []
    return Group(*parts, *(Text(line) for line in lines))
