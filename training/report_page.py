"""report.html: the report as one page for people who did not train the model.

Reads   a valid report (training.report.Report) and the template report.html.jinja
Writes  nothing; render_page returns the page, which needs no other file and no network
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, StrictUndefined

from training.report_plots import channel_bars, importance_bars, model_bars, training_curves
from training.report_svg import PALETTE
from training.report_text import text_in_words

TASKS: Final = {
    "all": ("All items", "Every item may be recommended, also what the user had before."),
    "new": ("New to the user", "What the user had before is neither recommended nor counted."),
    "cold": ("Cold items", "Only items that no text model learned a purchase or click of: their text is all there is."),
}
METRICS: Final = ("ndcg@10", "recall@10", "recall@100")
MODELS: Final = {
    "popularity": "what most users took lately",
    "personal_frequency": "what this user took most often",
    "ease": "linear item-to-item model, no text",
    "zero_shot_text": "pretrained text model as it is",
    "text_model": "text model trained on behaviour",
    "text_and_popularity": "text_model's interest plus log popularity",
    "recsys_no_text": "ranker on behaviour alone",
    "recsys": "ranker on behaviour and text",
}
"""What each model is, in a few words. Another model is shown under its name alone."""
BASELINES: Final = ("popularity", "personal_frequency", "ease", "zero_shot_text")
OURS: Final = ("recsys", "text_model")
"""The first of these that does a task stands for us in the headline."""

NO_BREAK: Final = "\N{NO-BREAK SPACE}"
HEADLINE_METRIC: Final = "ndcg@10"
FEATURES_SHOWN: Final = 20


@dataclass(frozen=True)
class Verdict:
    """Our model against the best baseline on one task; a gain of 0.1 is 10 % better, None without a baseline."""

    task: str
    users: int
    model: str
    value: float
    baseline: str | None
    baseline_value: float | None
    gain: float | None

    @property
    def sentence(self) -> str:
        """Such as "11 % better than personal_frequency"."""
        if self.gain is None:
            return "no baseline does this task"
        percent = round(abs(self.gain) * 100)
        if percent == 0:
            return f"level with {self.baseline}"
        return f"{percent}{NO_BREAK}% {'better' if self.gain > 0 else 'worse'} than {self.baseline}"


def verdicts(report: Mapping[str, Any]) -> list[Verdict]:
    """One for each task that one of OURS does."""
    found = []
    for task in TASKS:
        values = {name: row[task][HEADLINE_METRIC] for name, row in report["models"].items() if row[task] is not None}
        model = next((name for name in OURS if name in values), None)
        if model is None:
            continue
        rivals = {name: values[name] for name in BASELINES if name in values}
        best = max(rivals, key=rivals.__getitem__, default=None)
        gain = values[model] / rivals[best] - 1 if best is not None and rivals[best] > 0 else None
        baseline_value = None if best is None else rivals[best]
        found.append(Verdict(task, report["users"][task], model, values[model], best, baseline_value, gain))
    return found


def best_values(report: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """The best value of each (task, metric) that some model has."""
    best: dict[tuple[str, str], float] = {}
    for row in report["models"].values():
        for task, metrics in row.items():
            for metric in METRICS if metrics is not None else ():
                best[task, metric] = max(best.get((task, metric), 0.0), metrics[metric])
    return best


def headline(found: list[Verdict]) -> str:
    """The first verdict as a sentence."""
    if not found:
        return "How good the recommendations are"
    first = found[0]
    return f"{TASKS[first.task][0]}: {first.model} reaches {first.value:.3f}, {first.sentence}"


def render_page(report: Mapping[str, Any]) -> str:
    """The whole page. Sections whose numbers are not in the report are left out."""
    models = report["models"]
    shown = {task: texts for task, texts in TASKS.items() if any(row[task] is not None for row in models.values())}
    gains = report.get("importance", {})
    top_gains = sorted(gains.items(), key=lambda pair: -pair[1])[:FEATURES_SHOWN]
    found = verdicts(report)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(resources.files("training").joinpath("report.html.jinja").read_text("utf-8"))
    return template.render(
        palette=PALETTE,
        report=report,
        text_model=text_in_words(report["text"]) if "text" in report else None,
        headline=headline(found),
        verdicts=found,
        best=best_values(report),
        tasks=shown,
        metrics=METRICS,
        models=MODELS,
        baselines=BASELINES,
        task_plots={task: model_bars(models, task) for task in shown},
        curve_plots={name: training_curves(points) for name, points in report.get("curves", {}).items() if points},
        asked_curves=[
            name
            for name, points in report.get("curves", {}).items()
            if any(point.get("asked_ndcg@10") is not None for point in points)
        ],
        importance_plot=importance_bars(top_gains, total=sum(gains.values())) if gains else None,
        channel_plot=channel_bars(report["channels"]) if report.get("channels") else None,
        total_seconds=sum(report["seconds"].values()),
    )
