"""The command `recsys audit parity`."""

from pathlib import Path

import click

from recsys.cli import CONFIG_OPTION

REQUESTS = 50


@click.command()
@CONFIG_OPTION
@click.option(
    "--requests", type=click.IntRange(min=1), default=REQUESTS, show_default=True, help="Drawn from all logged"
)
@click.option("--latest", is_flag=True, help="Only answers from the features that are in the online store now")
@click.option("--seed", type=int, default=0, show_default=True, help="Another one draws other requests")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Where to write the result as well")
@click.pass_context
def parity(
    context: click.Context, config_path: Path, requests: int, latest: bool, seed: int, json_path: Path | None
) -> None:
    """Answers were made from the features that training would have computed."""
    from recsys.workspace import Workspace

    workspace = Workspace.open(config_path).with_tables()
    import msgspec

    from serving.audit_parity import audit_parity, findings, summary

    audited = audit_parity(workspace, requests=requests, seed=seed, latest=latest)
    found = findings(audited)
    click.echo(summary(audited))
    if json_path:
        result = {"replayed": audited.replayed, "skipped": audited.skipped, "values": audited.values, "findings": found}
        json_path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    for line in found:
        click.echo(f"difference: {line}", err=True)
    context.exit(1 if found or audited.replayed == 0 else 0)
