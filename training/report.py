"""The report of an evaluation: report.json for machines, report.html for people, one table for the terminal.

Reads   a report (see training.report_schema), made by training.evaluate
Writes  report.json and report.html beside each other; the page needs no other file and no network

Protocol and metrics are those of recsys.metrics and recsys.split; this module only checks and shows numbers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recsys.errors import DataError
from training.report_check import main_metrics, validate_report
from training.report_page import best_values, render_page
from training.report_text import is_clear


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
    main = main_metrics(report)
    columns = [(task, metric) for task in ("all", "new") for metric in (main.ndcg, main.deep_recall)]
    columns.append(("cold", main.ndcg))
    users = report["users"]
    table = Table(
        title=f"{report['dataset']}, what {users['all']} users took from {report['test_start'][:10]} on",
        caption=f"all items: {users['all']} users; new to the user: {users['new']}; cold items: {users['cold']}",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("model", no_wrap=True)
    for task, metric in columns:
        table.add_column(f"{task}\n{metric}", justify="right", no_wrap=True)
    for name, tasks in report["models"].items():
        cells = [Text(name)]
        for task, metric in columns:
            value = None if tasks[task] is None else tasks[task][metric]
            text = "–" if value is None else f"{value:.3f}"
            cells.append(Text(text, style="bold" if value is not None and value == best[task, metric] else ""))
        table.add_row(*cells)
    (console or Console()).print(table)


def print_comparison(report: Mapping[str, Any], *, console: Console | None = None) -> None:
    """What has changed since an earlier report, a table a task that fits 80 columns; what is clear in bold."""
    found = report["comparison"]
    console = console or Console()
    for task, compared in found["tasks"].items():
        counts = {"only now": "only_here", "only then": "only_there", "left out, as their data changed": "changed"}
        others = "".join(f"; {compared[key]} {words}" for words, key in counts.items() if compared[key])
        table = Table(
            title=f"{compared['model']} on {task}, since {found['bundle']}",
            caption=f"{compared['users']} users in both{others}",
            title_justify="left",
            caption_justify="left",
        )
        table.add_column("metric", no_wrap=True)
        for heading in ("then", "now", "difference", "95 % interval", "p"):
            table.add_column(heading, justify="right", no_wrap=True)
        for metric, one in compared["metrics"].items():
            numbers = [f"{one['theirs']:.4f}", f"{one['ours']:.4f}", f"{one['difference']:+.4f}"]
            numbers += ["{:+.4f} to {:+.4f}".format(*one["ci"]), f"{one['p']:.4f}"]
            table.add_row(metric, *numbers, style="bold" if is_clear(one) else "")
        console.print(table)
