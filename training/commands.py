"""The commands `recsys train`, `recsys tune` and `recsys evaluate`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli import CONFIG_OPTION

if TYPE_CHECKING:
    from recsys.workspace import Workspace


@click.command()
@CONFIG_OPTION
@click.option("--all-data", is_flag=True, help="Learn from everything: nothing is held back, and nothing is measured")
@click.option(
    "--track",
    "trackers",
    multiple=True,
    type=click.Choice(["tensorboard", "mlflow", "wandb"]),
    help="Send settings, losses and metrics there; may be given several times",
)
def train(config_path: Path, all_data: bool, trackers: tuple[str, ...]) -> None:
    """Train on all before split.test_start, measure on what follows, publish the bundle as champion."""
    # Here, so that neither the help nor a mistake in recsys.toml waits for the training framework.
    from recsys.bundle import MANIFEST
    from recsys.workspace import Workspace

    workspace = Workspace.open(config_path).with_tables()
    from training.evaluate import evaluate as evaluate_models
    from training.pipeline import Pipeline
    from training.publishing import bundle_id, publish_models
    from training.report import print_table
    from training.tracking import Watch

    watch = Watch(trackers, workspace.root)
    cut = None if all_data else workspace.config.split.test_start
    pipeline = Pipeline(workspace, cut=cut, measured=watch.measured)
    with watch.run(workspace.config, bundle_id(pipeline)):
        report = None
        if pipeline.cut < pipeline.end:
            report = evaluate_models(pipeline, bundle=bundle_id(pipeline))
            print_table(report)
        else:
            pipeline.compute_features()
        bundle = publish_models(pipeline, report)
        watch.finish(pipeline.text.about, report, [bundle / MANIFEST])
    print(f"champion: {bundle}")


@click.command()
@CONFIG_OPTION
@click.option(
    "--stage", type=click.Choice(["finetune", "ranker"]), default="finetune", show_default=True, help="Whose settings"
)
@click.option("--trials", type=click.IntRange(min=1), default=20, show_default=True, help="Those of earlier runs count")
@click.option("--timeout-minutes", type=click.FloatRange(min=0), help="No trial begins later than this")
def tune(config_path: Path, stage: str, trials: int, timeout_minutes: float | None) -> None:
    """Search for the settings of a stage that serve best before split.test_start; goes on where it was stopped."""
    from recsys.workspace import Workspace

    workspace = Workspace.open(config_path).with_tables()
    from training.pipeline import Pipeline
    from training.tune import search
    from training.tune_finetune import TunedFinetune
    from training.tune_page import print_found, write_page
    from training.tune_ranker import TunedRanker

    pipeline = Pipeline(workspace, cut=workspace.config.split.test_start)
    tuned = TunedFinetune(pipeline) if stage == "finetune" else TunedRanker(pipeline)
    found = search(pipeline, tuned, trials=trials, timeout_minutes=timeout_minutes)
    write_page(found, workspace.root / "tuning.html")
    print_found(found)
    print(f"trials: {workspace.root / 'tuning.html'}")


@click.command()
@CONFIG_OPTION
@click.option("--test-start", help="ISO date from which to measure, instead of split.test_start; UTC without a zone")
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path),
    help="Where to write; report.json of the project, or replay.json",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="An earlier report.json of the same test start: say what has changed since, user by user, and how surely",
)
@click.option(
    "--replay", type=click.Choice(["impressions"]), help="Order only what logged impressions showed; writes replay.json"
)
@click.option(
    "--off-policy",
    "off_policy",
    is_flag=True,
    help="What our order of the lists that were shown would have earned, from logged propensities; off_policy.json",
)
def evaluate(
    config_path: Path,
    test_start: str | None,
    json_path: Path | None,
    against: Path | None,
    replay: str | None,
    off_policy: bool,
) -> None:
    """Measure models that know nothing of what happened from test_start on; writes report.json and report.html."""
    from recsys.errors import ConfigError
    from recsys.workspace import Workspace

    workspace = Workspace.open(config_path).with_tables()
    cut = _parsed(test_start) if test_start else workspace.config.split.test_start
    if cut is None:
        raise ConfigError(f"{config_path}: split.test_start is not set; set it, or give --test-start ISO-DATE")
    if sum([against is not None, replay is not None, off_policy]) > 1:
        raise click.UsageError("--against, --replay and --off-policy are reports of three kinds; ask for one of them")
    if replay:
        _replay(workspace, cut, json_path or workspace.root / "replay.json")
        return
    if off_policy:
        _off_policy(workspace, cut, (json_path or workspace.root / "report.json").parent)
        return
    import polars as pl

    from training.evaluate import evaluate as evaluate_models
    from training.evaluate import users_file
    from training.paired import compare, read_users, users_path
    from training.pipeline import Pipeline
    from training.publishing import bundle_id
    from training.report import print_comparison, print_table, read_report, write_report

    # Before hours of training are spent, and before it is written over.
    earlier = None if against is None else (read_report(against), read_users(against))
    pipeline = Pipeline(workspace, cut=cut)
    report = evaluate_models(pipeline, bundle=bundle_id(pipeline))
    users = pl.read_parquet(users_file(pipeline))
    if earlier is not None:
        report["comparison"] = compare(report, users, *earlier)
    path = json_path or workspace.root / "report.json"
    write_report(report, path, path.with_suffix(".html"))
    users.write_parquet(users_path(path))
    print_table(report)
    if earlier is not None:
        print_comparison(report)
    print(f"report: {path} and {path.with_suffix('.html')}")


def _replay(workspace: "Workspace", cut: datetime, path: Path) -> None:
    from training.pipeline import Pipeline
    from training.publishing import bundle_id
    from training.replay import replay
    from training.replay_page import print_replay, write_replay

    pipeline = Pipeline(workspace, cut=cut)
    report = replay(pipeline, bundle=bundle_id(pipeline))
    write_replay(report, path)
    print_replay(report)
    print(f"report: {path}")


def _off_policy(workspace: "Workspace", cut: datetime, folder: Path) -> None:
    from training.off_policy import measure_off_policy, print_off_policy, write_off_policy
    from training.pipeline import Pipeline

    estimates = measure_off_policy(Pipeline(workspace, cut=cut))
    written = write_off_policy(estimates, folder)
    print_off_policy(estimates)
    print(f"off-policy estimates: {written}")


def _parsed(date: str) -> datetime:
    try:
        found = datetime.fromisoformat(date)
    except ValueError as error:
        raise click.BadParameter(
            f"{date!r} is no ISO date; expected for example 2011-11-25", param_hint="--test-start"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
