"""The commands `recsys train` and `recsys evaluate`."""

from datetime import UTC, datetime
from pathlib import Path

import click

from recsys.cli import CONFIG_OPTION


@click.command()
@CONFIG_OPTION
@click.option("--all-data", is_flag=True, help="Learn from everything: nothing is held back, and nothing is measured")
def train(config_path: Path, all_data: bool) -> None:
    """Train on all before split.test_start, measure on what follows, publish the bundle as champion."""
    # Here, so that neither the help nor a mistake in recsys.toml waits for the training framework.
    from recsys.workspace import Workspace

    workspace = Workspace.open(config_path).with_tables()
    from training.evaluate import evaluate as evaluate_models
    from training.pipeline import Pipeline
    from training.publishing import bundle_id, publish_models
    from training.report import print_table

    pipeline = Pipeline(workspace, cut=None if all_data else workspace.config.split.test_start)
    report = None
    if pipeline.cut < pipeline.end:
        report = evaluate_models(pipeline, bundle=bundle_id(pipeline))
        print_table(report)
    else:
        pipeline.compute_features()
    print(f"champion: {publish_models(pipeline, report)}")


@click.command()
@CONFIG_OPTION
@click.option("--test-start", help="ISO date from which to measure, instead of split.test_start; UTC without a zone")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Where to write; report.json of the project")
def evaluate(config_path: Path, test_start: str | None, json_path: Path | None) -> None:
    """Measure models that know nothing of what happened from test_start on; writes report.json and report.html."""
    from recsys.errors import ConfigError
    from recsys.workspace import Workspace

    workspace = Workspace.open(config_path).with_tables()
    cut = _parsed(test_start) if test_start else workspace.config.split.test_start
    if cut is None:
        raise ConfigError(f"{config_path}: split.test_start is not set; set it, or give --test-start ISO-DATE")
    from training.evaluate import evaluate as evaluate_models
    from training.pipeline import Pipeline
    from training.publishing import bundle_id
    from training.report import print_table, write_report

    pipeline = Pipeline(workspace, cut=cut)
    report = evaluate_models(pipeline, bundle=bundle_id(pipeline))
    path = json_path or workspace.root / "report.json"
    write_report(report, path, path.with_suffix(".html"))
    print_table(report)
    print(f"report: {path} and {path.with_suffix('.html')}")


def _parsed(date: str) -> datetime:
    try:
        found = datetime.fromisoformat(date)
    except ValueError as error:
        raise click.BadParameter(
            f"{date!r} is no ISO date; expected for example 2011-11-25", param_hint="--test-start"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
