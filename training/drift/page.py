"""drift.html: what has moved, as one page that needs no other file and no network."""

from collections.abc import Sequence
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from recsys.drift import DriftReport, Figure, Level
from training.report_svg import BASELINE, MUTED, OURS, OURS_SOFT, PALETTE, SECOND, as_svg, draw_bars, label_bars, panels

BARS: Final = 20
LINES: Final = 6
"""Topics that are drawn, those that moved most."""

COLOURS: Final[dict[Level, str]] = {"alert": SECOND, "note": OURS, "ok": BASELINE}
LINE_COLOURS: Final = (OURS, SECOND, MUTED, OURS, SECOND, MUTED)
LINE_STYLES: Final = ("-", "-", "-", "--", "--", "--")
DAYS_SHOWN: Final = 182


def write_page(project: str, report: DriftReport, path: Path) -> None:
    """Write the page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = resources.files("training").joinpath("drift.html.jinja").read_text("utf-8")
    page = environment.from_string(template).render(
        project=project,
        report=report,
        palette=PALETTE,
        moved=[*report.alerts, *report.at_level("note")],
        stability=stability_plot(report),
        unknown=unknown_plot(report),
        topics=topics_plot(report),
        places=places_plot(report),
    )
    path.write_text(page, encoding="utf-8")


def stability_plot(report: DriftReport) -> Markup | None:
    """The features that moved most and the scores; None when they were not measured."""
    figures = [one for one in report.figures if one.kind in ("features", "scores")]
    shown = sorted(figures, key=lambda one: -one.value)[:BARS]
    if not shown:
        return None
    with panels(1, rows=len(shown)) as (figure, (panel,)):
        values = [one.value for one in shown]
        draw_bars(panel, [one.name for one in shown], values, colours=[COLOURS[one.level] for one in shown])
        label_bars(panel, values, [f"{one.value:.2f} ({one.before:.3g} → {one.now:.3g})" for one in shown])
        by_chance = [one.chance for one in shown]
        panel.scatter(by_chance, range(len(shown)), marker="|", s=90, color=MUTED)
        # What chance can do may be far beyond the longest bar.
        panel.set_xlim(0, max(panel.get_xlim()[1], 1.03 * max(by_chance)))
        spoken = ", ".join(f"{one.name} {one.value:.2f}" for one in shown)
        return as_svg(figure, f"Population stability index of features and scores: {spoken}")


def unknown_plot(report: DriftReport) -> Markup | None:
    """Shares by day, of users and of items."""
    days = report.days[-DAYS_SHOWN:]
    if not days:
        return None
    with panels(2, rows=7) as (figure, axes):
        for panel, unknown, whole in zip(axes, ("unknown_users", "unknown_items"), ("users", "items"), strict=True):
            shares = [getattr(one, unknown) / max(getattr(one, whole), 1) for one in days]
            panel.plot(_dates(panel, [one.day for one in days]), shares, color=OURS, linewidth=1.2)
            latest = _dates(panel, [report.latest.since, report.latest.until])
            panel.axvspan(*latest, color=OURS_SOFT, alpha=0.3, linewidth=0)
            panel.set_ylim(0, None)
            panel.set_title(f"{whole} never seen before, share of those of the day")
            panel.grid(axis="y")
        return as_svg(figure, f"Share of unknown users and items by day, from {days[0].day} to {days[-1].day}")


def topics_plot(report: DriftReport) -> Markup | None:
    """Shares by week of the topics that moved most."""
    moves = {one.name: one for one in report.figures if one.kind == "topics"}
    shown = sorted((one for one in report.topics if one.name in moves), key=lambda one: -moves[one.name].value)[:LINES]
    if not shown or len(report.weeks) < 2:
        return None
    with panels(1, rows=11) as (figure, (panel,)):
        for topic, colour, style in zip(shown, LINE_COLOURS, LINE_STYLES, strict=False):
            panel.plot(
                _dates(panel, report.weeks),
                topic.shares,
                color=colour,
                linestyle=style,
                label=topic.name,
                linewidth=1.4,
            )
        panel.set_ylim(0, None)
        panel.set_title("share of what users did, by week")
        panel.grid(axis="y")
        figure.legend(frameon=False, fontsize=9, loc="outside lower left", ncols=3)
        return as_svg(figure, "; ".join(_spoken(moves[topic.name]) for topic in shown))


def places_plot(report: DriftReport) -> Markup | None:
    """Clicks by place: before, expected, and those that came, with their intervals."""
    if not report.places:
        return None
    with panels(1, rows=8) as (figure, (panel,)):
        numbers = [one.place for one in report.places]
        panel.plot(numbers, [one.before for one in report.places], color=BASELINE, label="before")
        panel.plot(numbers, [one.expected for one in report.places], color=MUTED, linestyle="--", label="expected now")
        ends = [[one.now - one.interval[0], one.interval[1] - one.now] for one in report.places]
        panel.errorbar(
            numbers,
            [one.now for one in report.places],
            list(zip(*ends, strict=True)),
            color=OURS,
            fmt="o-",
            markersize=4,
            label="now",
        )
        panel.set_ylim(0, None)
        panel.set_xticks(numbers)
        panel.set_title("share of lists of which the item at this place was chosen")
        panel.grid(axis="y")
        panel.legend(frameon=False, fontsize=9)
        spoken = ", ".join(f"place {one.place} {one.now:.1%}, expected {one.expected:.1%}" for one in report.places)
        return as_svg(figure, f"Clicks by place: {spoken}")


def _dates(panel: Axes, dates: Sequence[date]) -> list[float]:
    """As Matplotlib counts them, on a panel whose x axis is time."""
    locator = AutoDateLocator(maxticks=6)  # type: ignore[no-untyped-call]
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    return [float(date2num(one)) for one in dates]  # type: ignore[no-untyped-call]


def _spoken(figure: Figure) -> str:
    return f"{figure.name} from {figure.before:.1%} to {figure.now:.1%}"
