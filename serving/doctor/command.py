"""The command `recsys doctor`."""

import sys
from pathlib import Path

import click

from recsys.cli import CONFIG_OPTION


@click.command()
@CONFIG_OPTION
@click.option("--host", help="Address it is to listen on, instead of serving.host of the project.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port, instead of serving.port.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output, for programs.")
def doctor(config_path: Path, host: str | None, port: int | None, as_json: bool) -> None:
    """Look at a deployment and say what to mend; exit code 1 when there is a problem. Changes nothing."""
    # Here, so that the help does not wait for ONNX Runtime.
    import msgspec
    from rich.console import Console

    from serving.doctor.examination import examine
    from serving.doctor.report import line, summary

    console, found = Console(soft_wrap=True, highlight=False), []
    for finding in examine(config_path, host=host, port=port):
        found.append(finding)
        if not as_json:
            console.print(line(finding))
    is_well = all(finding.state != "problem" for finding in found)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode({"ok": is_well, "findings": found})).decode())
    else:
        console.print(summary(found))
    sys.exit(0 if is_well else 1)
