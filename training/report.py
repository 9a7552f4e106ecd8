"""The report of an evaluation: report.json for machines, report.html for people, one table for the terminal.

Reads   a report (see Report), made by training.evaluate
Writes  report.json and report.html beside each other; the page needs no other file and no network

Protocol and metrics are those of recsys.metrics and recsys.split; this module only checks and shows numbers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NotRequired, TypedDict

import msgspec
from msgspec import Meta
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recsys.errors import DataError
from training.report_page import best_values, render_page

Share = Annotated[float, Meta(ge=0, le=1)]
Interval = tuple[Share, Share]
AtLeastZero = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]

Metrics = TypedDict(
    "Metrics",
    {
        "recall@10": Share,
        "recall@10_ci": Interval,
        "recall@20": Share,
        "recall@20_ci": Interval,
        "recall@100": Share,
        "recall@100_ci": Interval,
        "ndcg@10": Share,
        "ndcg@10_ci": Interval,
    },
)
"""What recsys.metrics.summarise returns: each mean over users, and its 95 % interval beside it."""


class Tasks(TypedDict):
    """One model on each task; None where the model cannot do it (a popularity has nothing to say on cold items)."""

    all: Metrics | None
    new: Metrics | None
    cold: Metrics | None


class Users(TypedDict):
    """How many users each task is measured on."""

    all: Count
    new: Count
    cold: Count


CurvePoint = TypedDict(
    "CurvePoint",
    {
        "step": Count,
        "loss": AtLeastZero | None,
        "validation_ndcg@10": Share | None,
        "held_out_ndcg@10": Share | None,
        "asked_ndcg@10": NotRequired[Share | None],
    },
)
"""Training so far: validation_ndcg@10 on what users chose after the training cut, held_out_ndcg@10 on items kept from
it, asked_ndcg@10 on what they chose after typing a query."""


class Tower(TypedDict):
    """What the user tower learned for one label: see training.user_tower."""

    age_power: float
    occasions_power: float
    type_weight: dict[str, AtLeastZero]
    query_share: Share


class TextCounts(TypedDict):
    """Items; those without a text; those whose text was cut off."""

    items: Count
    empty: Count
    cut: Count


class TextFigures(TypedDict):
    """The text model: which one serves, and why. Of each encoder at least {"kept"} or, in float32, {"difference"}."""

    uses_pretrained: bool
    validation: dict[str, dict[str, Share]]
    texts: TextCounts
    tower: dict[str, Tower]
    encoders: dict[str, dict[str, Any]]


class Channel(TypedDict):
    """recall: share of the relevant items among its candidates; alone: share that no other channel found."""

    recall: Share
    alone: Share


Candidates = TypedDict(
    "Candidates",
    {"candidates": Count, "recall": Share, "recall@300": Share, "channels": dict[str, Channel]},
)
"""What the ranker got to order, `candidates` items at most: recall of the merged channels, and of each among them;
recall@300 is that of the merge when it is asked for 300, whatever the project is configured for."""


class CandidatesOfTasks(TypedDict):
    """None where a task has no users."""

    all: Candidates | None
    new: Candidates | None


class Report(TypedDict):
    """report.json. Further keys are kept as they are."""

    dataset: str
    test_start: str
    users: Users
    models: Annotated[dict[str, Tasks], Meta(min_length=1)]
    bundle: str
    seconds: dict[str, AtLeastZero]
    peak_memory_mb: AtLeastZero
    curves: NotRequired[dict[str, list[CurvePoint]]]
    importance: NotRequired[dict[str, AtLeastZero]]
    channels: NotRequired[dict[str, Channel]]
    """Those of candidates.all."""
    candidates: NotRequired[CandidatesOfTasks]
    text: NotRequired[TextFigures]


TABLE_COLUMNS: Final = (
    ("all", "ndcg@10"),
    ("all", "recall@100"),
    ("new", "ndcg@10"),
    ("new", "recall@100"),
    ("cold", "ndcg@10"),
)


def validate_report(report: Mapping[str, Any]) -> None:
    """Raises DataError with the place in the report and what was expected there."""
    try:
        msgspec.convert(report, Report)
    except msgspec.ValidationError as error:
        raise DataError(f"report: {error}; training.report.Report lists every key") from error


def read_report(path: Path) -> dict[str, Any]:
    """A report.json that write_report wrote. Raises DataError when it is missing or is no report."""
    try:
        report = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; write one with `recsys evaluate`") from error
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: {error}; write it again with `recsys evaluate`") from error
    validate_report(report)
    return report


def write_report(report: Mapping[str, Any], path_json: Path, path_html: Path) -> None:
    """Write report.json and report.html. Raises DataError when it is no Report."""
    validate_report(report)
    for path in (path_json, path_html):
        path.parent.mkdir(parents=True, exist_ok=True)
    path_json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    path_html.write_text(render_page(report), encoding="utf-8")


def print_table(report: Mapping[str, Any], *, console: Console | None = None) -> None:
    """One table of models and tasks that fits 80 columns; best in bold, – where a model cannot do a task."""
    validate_report(report)
    best = best_values(report)
    users = report["users"]
    table = Table(
        title=f"{report['dataset']}, what {users['all']} users took from {report['test_start'][:10]} on",
        caption=f"all items: {users['all']} users; new to the user: {users['new']}; cold items: {users['cold']}",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("model", no_wrap=True)
    for task, metric in TABLE_COLUMNS:
        table.add_column(f"{task}\n{metric}", justify="right", no_wrap=True)
    for name, tasks in report["models"].items():
        cells = [Text(name)]
        for task, metric in TABLE_COLUMNS:
            value = None if tasks[task] is None else tasks[task][metric]
            text = "–" if value is None else f"{value:.3f}"
            cells.append(Text(text, style="bold" if value is not None and value == best[task, metric] else ""))
        table.add_row(*cells)
    (console or Console()).print(table)
