"""What `recsys tune` found: for the terminal a table and the section to paste, and a page with plots of the trials.

Writes  tuning.html, which needs no other file and no network
"""

from collections.abc import Sequence
from importlib import resources
from itertools import accumulate
from pathlib import Path
from typing import Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.axes import Axes
from rich.console import Console
from rich.table import Table

from training.report_svg import MUTED, OURS, PALETTE, as_svg, panels
from training.tune import Found, Trial, in_words

SHOWN: Final = 5
LOGARITHMIC: Final = (
    *("learning_rate", "temperature", "history_items"),
    *("leaves", "rows_in_leaf", "l2", "truncation"),
)


def print_found(found: Found, *, console: Console | None = None) -> None:
    """The best trials that fit, and the section of the best one."""
    console = console or Console()
    table = Table(title=f"the best of {len(found.trials)} trials", title_justify="left")
    for name in ("trial", found.searched.column, *_searched(found)):
        table.add_column(name.replace("_", "\n"), justify="right")
    for row in _rows(found)[:SHOWN]:
        table.add_row(*row)
    console.print(table)
    console.print(f"\nthe best settings, for recsys.toml:\n\n{found.section}\n", markup=False, highlight=False)


def write_page(found: Found, path: Path) -> None:
    """Write the page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = resources.files("training").joinpath("tuning.html.jinja").read_text("utf-8")
    page = environment.from_string(template).render(
        found=found,
        palette=PALETTE,
        searched=_searched(found),
        rows=_rows(found),
        gains=gain_plot(found),
        settings=settings_plot(found),
    )
    path.write_text(page, encoding="utf-8")


def gain_plot(found: Found) -> Markup:
    """What each trial reached, and the best until then."""
    trials, searched = found.trials, found.searched
    with panels(1, rows=8) as (figure, (panel,)):
        numbers = [trial.number for trial in trials]
        panel.plot(numbers, list(accumulate((trial.reached for trial in trials), max)), color=MUTED, linewidth=1.5)
        _points(panel, numbers, trials)
        panel.set_title(f"{searched.measure}, by trial")
        panel.grid(axis="y")
        spoken = "; ".join(f"trial {trial.number} {searched.figure(trial.reached)}" for trial in trials)
        return as_svg(figure, f"What each trial reached, {searched.measure}: {spoken}")


def settings_plot(found: Found) -> Markup:
    """What the trials reached by the value of each setting."""
    names = _searched(found)
    with panels(len(names), rows=8) as (figure, axes):
        for panel, name in zip(axes, names, strict=True):
            _points(panel, [trial.settings[name] for trial in found.trials], found.trials)
            if name in LOGARITHMIC:
                panel.set_xscale("log")
            panel.set_title(name)
            panel.grid(axis="y")
        for panel in axes[1:]:
            panel.tick_params(labelleft=False)
        return as_svg(figure, f"What the trials reached by the value of each setting: {', '.join(names)}")


def _points(panel: Axes, places: Sequence[float], trials: Sequence[Trial]) -> None:
    filled = [OURS if not trial.ended else "none" for trial in trials]
    panel.scatter(places, [trial.reached for trial in trials], s=22, facecolors=filled, edgecolors=OURS)


def _searched(found: Found) -> list[str]:
    return [name for name in found.searched.keys if name in found.best.settings]


def _rows(found: Found) -> list[list[str]]:
    """The trials, best first: number, what was reached, and settings."""
    ranked = sorted(found.trials, key=lambda trial: -trial.reached)
    return [
        [
            str(trial.number),
            found.searched.figure(trial.reached) + (" (ended)" if trial.ended else ""),
            *(in_words(trial.settings[name]) for name in _searched(found)),
        ]
        for trial in ranked
    ]
