"""report.html: the report as one page for people who did not train the model.

Reads   a valid report (training.report_schema.Report) and the template report.html.jinja
Writes  nothing; render_page returns the page, which needs no other file and no network
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined

from training.paired import OURS
from training.report_breakdowns import by_k_lines, calibration_bars, slice_dots, waterfall_bars
from training.report_check import main_metrics
from training.report_plots import channel_bars, importance_bars, model_bars, training_curves
from training.report_svg import PALETTE
from training.report_text import TASTES, difference_in_words, is_clear, metric_in_words, text_in_words
from training.tally import BASELINES

TASKS: Final = {
    "all": ("All items", "Every item may be recommended, also what the user had before."),
    "new": ("New to the user", "What the user had before is neither recommended nor counted."),
    "cold": ("Cold items", "Only items that no text model learned a purchase or click of: their text is all there is."),
}
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

NO_BREAK: Final = "\N{NO-BREAK SPACE}"
FEATURES_SHOWN: Final = 20


@dataclass(frozen=True)
class Verdict:
    """Our model against the best baseline on one task; a gain of 0.1 is 10 % better, None without a baseline.

    certainty  how sure the difference is, in words; None where that is not known
    is_clear   whether it can hardly be chance
    """

    task: str
    users: int
    model: str
    value: float
    baseline: str | None
    baseline_value: float | None
    gain: float | None
    certainty: str | None = None
    is_clear: bool = True

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
    metric = main_metrics(report).ndcg
    for task in TASKS:
        values = {name: row[task][metric] for name, row in report["models"].items() if row[task] is not None}
        model = next((name for name in OURS if name in values), None)
        if model is None:
            continue
        rivals = {name: values[name] for name in BASELINES if name in values}
        best = max(rivals, key=rivals.__getitem__, default=None)
        gain = values[model] / rivals[best] - 1 if best is not None and rivals[best] > 0 else None
        baseline_value = None if best is None else rivals[best]
        paired = report.get("paired", {}).get(task)
        verdict = Verdict(task, report["users"][task], model, values[model], best, baseline_value, gain)
        if paired is not None and (paired["model"], paired["baseline"]) == (model, best):
            difference = paired["metrics"][metric]
            verdict = replace(verdict, certainty=difference_in_words(difference), is_clear=is_clear(difference))
        found.append(verdict)
    return found


def best_values(report: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """The best value of each (task, metric) that some model has."""
    best: dict[tuple[str, str], float] = {}
    shown = main_metrics(report).all
    for row in report["models"].values():
        for task, metrics in row.items():
            for metric in shown if metrics is not None else ():
                best[task, metric] = max(best.get((task, metric), 0.0), metrics[metric])
    return best


def further_metrics(report: Mapping[str, Any]) -> list[str]:
    """The metrics of the models beside the main ones, in the order of the report."""
    main = main_metrics(report).all
    rows = [row for tasks in report["models"].values() for row in tasks.values() if row is not None]
    names = dict.fromkeys(name for row in rows for name in row if not name.endswith("_ci"))
    return [name for name in names if name not in main]


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
    main = main_metrics(report)
    environment = Environment(
        loader=FunctionLoader(lambda name: resources.files("training").joinpath(name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(
        palette=PALETTE,
        report=report,
        text_model=text_in_words(report["text"]) if "text" in report else None,
        headline=headline(found),
        verdicts=found,
        best=best_values(report),
        tasks=shown,
        task_names=TASKS,
        metrics=main.all,
        main=main,
        further=further_metrics(report),
        metric_in_words=metric_in_words,
        is_clear=is_clear,
        tastes=TASTES,
        models=MODELS,
        baselines=BASELINES,
        task_plots={task: model_bars(models, task, (main.ndcg, main.deep_recall)) for task in shown},
        by_k_plots={task: by_k_lines(report["by_k"], task) for task in shown} if "by_k" in report else {},
        slice_plots={task: slice_dots(parts, main.ndcg) for task, parts in report.get("slices", {}).items() if parts},
        calibration_plot=calibration_bars(report["calibration"]) if report.get("calibration") else None,
        waterfall_plot=waterfall_bars(report["waterfall"]) if report.get("waterfall") else None,
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
