"""The command `recsys experiment report`: what an experiment has shown up to now.

Reads   recsys.toml, events.db, log/
"""

from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys.cli import CONFIG_OPTION
from recsys.errors import ConfigError
from recsys.mean_interval import Estimate
from recsys.workspace import Workspace
from serving.experiment_report import ExperimentReport, report
from serving.experiment_rows import read_experiment


@click.group()
def experiment() -> None:
    """Compare bundles on the users of a server; see docs/experiments.md."""


@experiment.command("report")
@CONFIG_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.argument("name")
def report_command(config_path: Path, as_json: bool, name: str) -> None:
    """Compare the variants of the experiment NAME, as often as you like: the intervals hold at every look."""
    found = experiment_report(Workspace.open(config_path), name, datetime.now(UTC))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        show(found, Console())


def experiment_report(workspace: Workspace, name: str, now: datetime) -> ExperimentReport:
    """Raises ConfigError when recsys.toml has no such experiment, DataError when there is no event log."""
    config = workspace.config
    if name not in config.experiments:
        raise ConfigError(
            f"{workspace.root}/recsys.toml: there is no experiment {name!r}; expected one of "
            f"{sorted(config.experiments) or 'none: add [experiments.NAME]'}"
        )
    return report(name, config.experiments[name], config.interaction_types, read_experiment(workspace, name), now)


def show(found: ExperimentReport, console: Console) -> None:
    """As a person reads it."""
    for warning in found.warnings:
        console.print(f"[bold red]warning[/] {escape(warning)}", soft_wrap=True)
    for variant, users in found.users.items():
        shown = f"{found.impressions[variant]:,} lists, {users:,} users"
        console.print(f"{escape(variant)}: {shown}, of whom {found.users_counted[variant]:,} count", soft_wrap=True)
    if found.metrics:
        console.print(_metrics(found))
    if mixed := found.interleaving:
        console.print(
            f"{mixed.users:,} users chose something: {mixed.prefer_first:,} prefer {escape(mixed.first)}, "
            f"{mixed.prefer_second:,} prefer {escape(mixed.second)}; share of {escape(mixed.second)} "
            f"{_interval(mixed.share)}{_verdict(mixed.share, 0.5)}",
            soft_wrap=True,
        )
    for shadow in found.shadows:
        same = "" if shadow.same_top is None else f", {shadow.same_top:.0%} of the first ten as shown"
        took = "" if shadow.took_ms is None else f", median {shadow.took_ms:.1f} ms"
        console.print(f"shadow {escape(shadow.variant)}: {shadow.lists:,} lists{same}{took}", soft_wrap=True)


def _metrics(found: ExperimentReport) -> Table:
    table = Table("metric", "variant", "users", "value", "difference, 95 % at every look", "")
    for metric in found.metrics:
        for at, each in enumerate(metric.variants):
            value = "–" if each.value is None else f"{each.value:.4f}"
            if each.difference is not None:
                difference, verdict = _interval(each.difference, sign="+"), _verdict(each.difference, 0.0)
            else:
                difference, verdict = ("" if at == 0 else "too few users"), ""
            table.add_row(
                "" if at else escape(metric.name), escape(each.variant), f"{each.users:,}", value, difference, verdict
            )
    return table


def _interval(estimate: Estimate, *, sign: str = "") -> str:
    return f"{estimate.value:{sign}.4f} ({estimate.low:{sign}.4f} to {estimate.high:{sign}.4f})"


def _verdict(estimate: Estimate, nothing: float) -> str:
    if estimate.low > nothing:
        return " more"
    return " less" if estimate.high < nothing else " not decided"
