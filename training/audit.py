"""The command `recsys audit leaks`."""

from pathlib import Path

import click

from recsys.cli import CONFIG_OPTION

ROWS = 210
"""Thirty of each window with the usual settings."""


@click.command()
@CONFIG_OPTION
@click.option("--rows", type=click.IntRange(min=1), default=ROWS, show_default=True, help="Drawn from all windows")
@click.option("--seed", type=int, default=0, show_default=True, help="Another one draws other rows")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Where to write the result as well")
@click.pass_context
def leaks(context: click.Context, config_path: Path, rows: int, seed: int, json_path: Path | None) -> None:
    """No row that the ranker learns from or is measured on saw the future."""
    from recsys.workspace import Workspace

    workspace = Workspace.open(config_path).with_tables()
    import msgspec

    from training.audit_leaks import audit_leaks, findings, print_audit
    from training.pipeline import Pipeline

    pipeline = Pipeline(workspace, cut=workspace.config.split.test_start)
    audited = audit_leaks(pipeline, rows=rows, seed=seed)
    print_audit(audited)
    found = findings(audited)
    if json_path:
        result = {"leaks": len(found), "findings": found, "seed": seed, "windows": audited}
        json_path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    for line in found:
        click.echo(f"leak: {line}", err=True)
    context.exit(1 if found else 0)
