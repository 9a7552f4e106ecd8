"""The command `recsys drift`: what has moved since the champion was trained.

Reads   tables/, log/, bundles/champion
Writes  tables/drift.json, drift.html

    recsys drift --config recsys.toml
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from recsys.cli import CONFIG_OPTION

MOVED: Final = 3
"""The exit code of --check."""

BUSY: Final = 4
"""That of one that finds a retraining at work, which measures it as well."""


@click.command("drift")
@CONFIG_OPTION
@click.option("--check", is_flag=True, help="End with exit code 3 when there is an alert")
@click.pass_context
def drift(context: click.Context, config_path: Path, check: bool) -> None:
    """Say what has moved since the champion was trained: features, scores, clicks, users, items, topics, feedback."""
    from recsys.workspace import RETRAIN_LOCK, Workspace

    workspace = Workspace.open(config_path).with_tables()
    from rich.console import Console

    from recsys.durable import at_once_or_not
    from training.drift.observing import PAGE, observe
    from training.drift.table import drift_table
    from training.retraining import champion_of_project

    with at_once_or_not(workspace.root / RETRAIN_LOCK) as free:
        if not free:
            click.echo("a retraining of this project runs, and measures the drift as well; this one ends", err=True)
            context.exit(BUSY)
        report = observe(workspace, champion_of_project(workspace), datetime.now(UTC))
    console = Console()
    console.print(drift_table(report))
    console.print(f"drift: {workspace.root / PAGE}", soft_wrap=True)
    context.exit(MOVED if check and report.alerts else 0)
