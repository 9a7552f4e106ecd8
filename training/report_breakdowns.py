"""The plots of report.html that look closer: over k, by slice, by score, and channel by channel."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup
from matplotlib.axes import Axes

from training.report_plots import COLOURS_OF_MODELS
from training.report_svg import BASELINE, INK, MUTED, OURS, OURS_SOFT, as_svg, draw_bars, label_bars, panels

ROWS_OF_LINES: Final = 11
LABEL_GAP: Final = 0.058
"""Between the names of two lines, as a share of the height of a panel."""
APART: Final = 0.17
"""From the middle of a row up to ours and down to the baseline."""


def by_k_lines(by_k: Mapping[str, Any], task: str) -> Markup:
    """A line for each model that does the task, over k, one panel for recall and one for ndcg."""
    curves = {name: tasks[task] for name, tasks in by_k["models"].items() if tasks[task] is not None}
    with panels(2, rows=ROWS_OF_LINES) as (figure, axes):
        for panel, metric in zip(axes, ("recall", "ndcg"), strict=True):
            for name, values in curves.items():
                width, order = (2.5, 3.0) if name == "recsys" else (1.5, 2.0)
                colour = COLOURS_OF_MODELS.get(name, BASELINE)
                panel.plot(by_k["k"], values[metric], color=colour, linewidth=width, zorder=order)
            panel.set_xscale("log")
            ticks = [k for k in (1, 10, 100, 1_000) if by_k["k"][0] <= k <= by_k["k"][-1]]
            panel.set_xticks(ticks, [str(k) for k in ticks])
            panel.minorticks_off()
            panel.set_ylim(bottom=0)
            panel.set_xlabel("k, items from the top of the list")
            panel.set_title(f"{metric}@k")
            panel.grid(axis="y")
            panel.tick_params(axis="y", labelcolor=MUTED)
            _name_lines(panel, by_k["k"][-1], {name: values[metric][-1] for name, values in curves.items()})
        last = {name: values["recall"][-1] for name, values in curves.items()}
        numbers = "; ".join(f"{name} {value:.3f}" for name, value in last.items())
        return as_svg(figure, f"recall and ndcg over k; recall@{by_k['k'][-1]} of each model: {numbers}")


def slice_dots(parts: Sequence[Mapping[str, Any]], metric: str) -> Markup:
    """For each slice ours and the baseline as dots with their 95 % intervals; those with too few users are pale."""
    with panels(1, rows=len(parts)) as (figure, (panel,)):
        for row, part in enumerate(parts):
            for model, side, colour in ((part["model"], -APART, OURS), (part["baseline"], APART, MUTED)):
                mean, (low, high) = part["models"][model][metric], part["models"][model][f"{metric}_ci"]
                strength = 0.35 if part["few"] else 1.0
                panel.hlines(row + side, low, high, color=colour, linewidth=1.5, alpha=strength)
                panel.plot(mean, row + side, "o", color=colour, markersize=6, alpha=strength)
            if row and part["by"] != parts[row - 1]["by"]:
                panel.axhline(row - 0.5, color=MUTED, linewidth=0.5)
        panel.set_yticks(range(len(parts)), [slice_name(part) for part in parts])
        panel.set_ylim(len(parts) - 0.5, -0.5)
        panel.set_xlim(left=0)
        panel.grid(axis="x")
        panel.set_title(metric)
        values = [[part["models"][part[side]][metric] for side in ("model", "baseline")] for part in parts]
        numbers = "; ".join(
            f"{slice_name(part)} {ours:.3f} against {theirs:.3f} of {part['baseline']}"
            for part, (ours, theirs) in zip(parts, values, strict=True)
        )
        return as_svg(figure, f"{metric} by slice, ours against the baseline: {numbers}")


def slice_name(part: Mapping[str, Any]) -> str:
    """Such as "light users · 273"."""
    return f"{part['name']} · {part['users']:,}" + (", too few" if part["few"] else "")


def calibration_bars(bins: Sequence[Mapping[str, Any]]) -> Markup:
    """The share that was chosen of the candidates in each bin, the highest scores first."""
    names = [f"best {one['to']:.0%}" if one["from"] == 0 else f"{one['from']:.0%} to {one['to']:.0%}" for one in bins]
    rates = [one["rate"] for one in bins]
    labels = [f"{one['rate']:.1%} of {one['candidates']:,}" for one in bins]
    with panels(1, rows=len(bins)) as (figure, (panel,)):
        draw_bars(panel, names, rates, colours=[OURS] * len(bins))
        lows, highs = zip(*(one["rate_ci"] for one in bins), strict=True)
        panel.hlines(range(len(bins)), lows, highs, color=INK, linewidth=1.5)
        label_bars(panel, [max(pair) for pair in zip(rates, highs, strict=True)], labels)
        panel.xaxis.set_major_formatter("{x:.0%}")
        numbers = "; ".join(f"{name} {label}" for name, label in zip(names, labels, strict=True))
        return as_svg(figure, f"Share of candidates that were chosen, by score: {numbers}")


def waterfall_bars(steps: Sequence[Mapping[str, Any]]) -> Markup:
    """What each channel adds to the recall of the candidates, each bar where the one above ends; last, all of them."""
    adds = [step["adds"] for step in steps]
    ends = [sum(adds[: at + 1]) for at in range(len(adds))]
    names = [*(step["channel"] for step in steps), "all candidates"]
    labels = [*(f"+{add:.3f}" for add in adds), f"{ends[-1]:.3f}"]
    with panels(1, rows=len(names)) as (figure, (panel,)):
        draw_bars(panel, names, [*adds, ends[-1]], colours=[*[OURS_SOFT] * len(adds), OURS])
        for bar, end, add in zip(panel.patches, ends, adds, strict=False):
            bar.set(x=end - add)
        panel.vlines(ends, range(len(ends)), range(1, len(ends) + 1), color=MUTED, linewidth=0.8)
        label_bars(panel, [*ends, ends[-1]], labels)
        numbers = "; ".join(f"{name} {label}" for name, label in zip(names, labels, strict=True))
        return as_svg(figure, f"What each channel adds to the recall of the candidates: {numbers}")


def _name_lines(panel: Axes, last: float, ends: Mapping[str, float]) -> None:
    """Write the name of each line beside its end at x = `last`, the names apart from each other."""
    bottom, top = panel.get_ylim()
    gap = LABEL_GAP * (top - bottom)
    rising = sorted(ends, key=ends.__getitem__)
    places: list[float] = []
    for name in rising:
        places.append(max([ends[name], *(place + gap for place in places[-1:])]))
    # Whoever was pushed out at the top comes down again, and pushes the others before it.
    limit = max(top, bottom + gap * len(ends))
    for row in reversed(range(len(places))):
        places[row] = min(places[row], limit)
        limit = places[row] - gap
    for name, place in zip(rising, places, strict=True):
        panel.annotate(
            name,
            (last, ends[name]),
            (1.06, place),
            textcoords=("axes fraction", "data"),
            arrowprops={
                "arrowstyle": "-",
                "color": MUTED,
                "linewidth": 0.6,
                "shrinkA": 1,
                "shrinkB": 2,
                "relpos": (0, 0.5),
            },
            va="center",
            fontsize=9,
            color=INK if name == "recsys" else MUTED,
            annotation_clip=False,
        )
