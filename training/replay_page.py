"""The table of `recsys evaluate --replay impressions` for the terminal, and replay.json for machines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

COLUMNS: Final = {
    "auc": "auc",
    "gauc": "gauc",
    "request_auc": "mean\nauc",
    "mrr@10": "mrr\n@10",
    "ndcg@5": "ndcg\n@5",
    "ndcg@10": "ndcg\n@10",
    "hit_rate@1": "hit\n@1",
    "hit_rate@5": "hit\n@5",
}
SURE: Final = "ndcg@10"
"""The metric whose interval the table has room for; replay.json has all."""


def write_replay(report: Mapping[str, Any], path: Path) -> None:
    """Write the report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def print_replay(report: Mapping[str, Any], *, console: Console | None = None) -> None:
    """One table that fits 80 columns, the best in bold, and what was left out."""
    counts, users, items = report["impressions"], report["users"], report["items"]
    table = Table(
        title=f"{report['dataset']}, {counts['measured']} impressions from {report['test_start'][:10]} on, "
        f"{items['chosen']} of {items['shown']} items chosen",
        caption=(
            f"of {users['all']} users, {users['without_history']} without a history; left out: of "
            f"{counts['none_chosen']} impressions nothing was chosen, of {counts['all_chosen']} everything, "
            f"{counts['asked']} answer a query"
        ),
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
    )
    table.add_column("model", no_wrap=True)
    for metric, heading in COLUMNS.items():
        table.add_column(heading, justify="right", no_wrap=True)
        if metric == SURE:
            table.add_column("95 %", justify="left", no_wrap=True)
    models = report["models"]
    best = {metric: max(model[metric] for model in models.values()) for metric in COLUMNS}
    for name, model in models.items():
        cells = [Text(name)]
        for metric in COLUMNS:
            cells.append(Text(_figure(model[metric]), style="bold" if model[metric] == best[metric] else ""))
            if metric == SURE:
                low, high = model[f"{metric}_ci"]
                cells.append(Text(f"{_figure(low)}-{_figure(high)}"))
        table.add_row(*cells)
    (console or Console()).print(table)


def _figure(share: float) -> str:
    """Such as .123, or 1.00."""
    return "1.00" if share >= 0.9995 else f"{share:.3f}"[1:]
