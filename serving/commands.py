"""The command `recsys serve`."""

import logging
from pathlib import Path

import click

from recsys.cli import CONFIG_OPTION


@click.command()
@CONFIG_OPTION
@click.option("--host", help="Address to listen on, instead of serving.host of the project")
@click.option("--port", type=click.IntRange(0, 65535), help="Port, instead of serving.port; 0 takes a free one")
def serve(config_path: Path, host: str | None, port: int | None) -> None:
    """Answer rank and recommend requests over HTTP and log what users see and do."""
    # Here, so that neither the help nor a mistake in recsys.toml waits for the server and ONNX Runtime.
    from recsys.workspace import Workspace

    workspace = Workspace.open(config_path)
    from serving.engine import load_engine, newest
    from serving.open_log import open_log
    from serving.server import run
    from serving.service import Service
    from serving.surfaces import SurfacesFile

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    settings = workspace.config.serving
    with open_log(workspace) as event_log:
        run(
            Service(event_log, workspace.config),
            lambda: load_engine(workspace),
            lambda: newest(workspace),
            SurfacesFile(config_path),
            host=settings.host if host is None else host,
            port=settings.port if port is None else port,
        )
