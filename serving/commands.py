"""The command `recsys serve`."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from serving.allocator import keep_few_arenas


@click.command()
@click.option(
    "--config",
    "config_paths",
    type=click.Path(path_type=Path),
    multiple=True,
    default=["recsys.toml"],
    show_default=True,
    help="The project's recsys.toml; several serve several projects, and the key of a request says which.",
)
@click.option("--host", help="Address to listen on, instead of serving.host of the (first) project")
@click.option("--port", type=click.IntRange(0, 65535), help="Port, instead of serving.port; 0 takes a free one")
@click.option("--workers", type=click.IntRange(min=1), help="Processes, instead of serving.workers")
def serve(config_paths: Sequence[Path], host: str | None, port: int | None, workers: int | None) -> None:
    """Answer rank and recommend requests over HTTP and log what users see and do."""
    # NumPy reads it when it is imported. The products of a request are small: a second thread waits more than it works.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    keep_few_arenas()
    # Here, so that neither the help nor a mistake in recsys.toml waits for the server and ONNX Runtime.
    from recsys.workspace import Workspace
    from serving.messages import log_to_stderr

    workspaces = [Workspace.open(path) for path in config_paths]
    settings = workspaces[0].config.serving
    host, port = settings.host if host is None else host, settings.port if port is None else port
    workers = settings.workers if workers is None else workers
    log_to_stderr(settings.log_format)
    from serving.tenants import check_apart

    check_apart(workspaces)
    from serving.process import serve_projects

    if workers == 1:
        return serve_projects(config_paths, host=host, port=port)
    from serving.supervisor import supervise

    # Each reads recsys.toml anew: one that is started again goes by what is there then.
    work = partial(serve_projects, config_paths, host=host, port=port)
    supervise(workers, lambda listener: work(listener=listener), host=host, port=port)
