"""The plots of report.html, each from one part of the report."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from training.report_svg import BASELINE, MUTED, OURS, OURS_SOFT, SECOND, as_svg, draw_bars, label_bars, panels

COLOURS_OF_MODELS: Final = {
    "recsys": OURS,
    "recsys_no_text": OURS_SOFT,
    "text_model": OURS_SOFT,
    "text_and_popularity": OURS_SOFT,
}


def model_bars(models: Mapping[str, Any], task: str, metrics: Sequence[str]) -> Markup:
    """A bar for each model that does the task, with its 95 % interval, one panel a metric."""
    rows = {name: tasks[task] for name, tasks in models.items() if tasks[task] is not None}
    colours = [COLOURS_OF_MODELS.get(name, BASELINE) for name in rows]
    with panels(len(metrics), rows=len(rows)) as (figure, axes):
        for panel, metric in zip(axes, metrics, strict=True):
            means = [row[metric] for row in rows.values()]
            lows, highs = zip(*(row[f"{metric}_ci"] for row in rows.values()), strict=True)
            draw_bars(panel, list(rows), means, colours=colours)
            # A line for each interval: matplotlib's error bars refuse an interval that does not hold its mean.
            panel.hlines(range(len(rows)), lows, highs, color=MUTED, linewidth=1.5)
            label_bars(panel, [max(pair) for pair in zip(means, highs, strict=True)], [f"{mean:.3f}" for mean in means])
            panel.set_title(metric)
        for panel in axes[1:]:
            panel.tick_params(labelleft=False)
        values = {name: ", ".join(f"{row[metric]:.3f}" for metric in metrics) for name, row in rows.items()}
        numbers = "; ".join(f"{name} {found}" for name, found in values.items())
        return as_svg(figure, f"{' and '.join(metrics)} of each model: {numbers}")


def training_curves(points: Sequence[Mapping[str, Any]]) -> Markup:
    """Loss, and quality on known and on held-out items and on queries, over the training steps."""
    with panels(2, rows=7) as (figure, (loss, quality)):
        lines = (
            (loss, "loss", OURS),
            (quality, "validation_ndcg@10", OURS),
            (quality, "held_out_ndcg@10", SECOND),
            (quality, "asked_ndcg@10", MUTED),
        )
        for panel, key, colour in lines:
            drawn = [point for point in points if point.get(key) is not None]
            steps, values = [point["step"] for point in drawn], [point[key] for point in drawn]
            panel.plot(steps, values, color=colour, linewidth=2, marker="o", markersize=3)
        for panel, title in ((loss, "loss"), (quality, "ndcg@10")):
            panel.set_title(title)
            panel.set_xlabel("step")
            panel.grid(axis="y")
            panel.tick_params(axis="y", labelcolor=MUTED)
        return as_svg(figure, "Training curves: loss on the left, ndcg@10 on known and on held-out items on the right")


def importance_bars(gains: Sequence[tuple[str, float]], *, total: float) -> Markup:
    """The share of the ranker's whole gain that each of these features has."""
    names = [name for name, _ in gains]
    shares = [gain / total if total else 0.0 for _, gain in gains]
    labels = [f"{share:.1%}" for share in shares]
    with panels(1, rows=len(gains)) as (figure, (panel,)):
        draw_bars(panel, names, shares, colours=[OURS] * len(gains))
        label_bars(panel, shares, labels)
        panel.xaxis.set_major_formatter("{x:.0%}")
        numbers = "; ".join(f"{name} {label}" for name, label in zip(names, labels, strict=True))
        return as_svg(figure, f"Share of the ranker's gain by feature: {numbers}")


def channel_bars(channels: Mapping[str, Mapping[str, float]]) -> Markup:
    """The recall of each retrieval channel, best first; the strong part of a bar is what no other channel found."""
    names = sorted(channels, key=lambda name: -channels[name]["recall"])
    recall = [channels[name]["recall"] for name in names]
    alone = [channels[name]["alone"] for name in names]
    labels = [f"{found:.3f}, alone {only:.3f}" for found, only in zip(recall, alone, strict=True)]
    with panels(1, rows=len(names)) as (figure, (panel,)):
        draw_bars(panel, names, recall, colours=[OURS_SOFT] * len(names))
        panel.barh(range(len(names)), alone, color=OURS, height=0.62)
        label_bars(panel, recall, labels)
        numbers = "; ".join(f"{name} {label}" for name, label in zip(names, labels, strict=True))
        return as_svg(figure, f"Recall of each retrieval channel: {numbers}")
