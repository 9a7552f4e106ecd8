"""The command `recsys serve`."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click


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
@click.option("--worker-of", type=int, hidden=True, help="The descriptor of the socket: set by serving.supervisor")
def serve(
    config_paths: Sequence[Path], host: str | None, port: int | None, workers: int | None, worker_of: int | None
) -> None:
    """Answer rank and recommend requests over HTTP and log what users see and do."""
    # Here, so that neither the help nor a mistake in recsys.toml waits for the server and ONNX Runtime.
    from recsys.workspace import Workspace
    from serving.messages import log_to_stderr

    workspaces = [Workspace.open(path) for path in config_paths]
    settings = workspaces[0].config.serving
    host, port = settings.host if host is None else host, settings.port if port is None else port
    workers = settings.workers if workers is None else workers
    log_to_stderr(settings.log_format)
    if worker_of is None and workers > 1:
        from serving.supervisor import supervise

        return supervise(workers, host=host, port=port)
    from serving.tenants import check_apart

    check_apart(workspaces)
    from recsys.bundle import champion_state
    from serving.bundle_shelf import BundleShelf
    from serving.engine import filling, load_before, load_engine, newest
    from serving.keys_file import KeysFile, LiveKeys
    from serving.open_log import open_log
    from serving.reload import Reloader
    from serving.server import run
    from serving.service import Service
    from serving.supervised import worker_socket
    from serving.surfaces import SurfacesFile
    from serving.tracing import tracer_to_collector
    from serving.variant_engines import VariantEngines

    with ExitStack() as closing:
        reloaders = [
            Reloader(
                Service(
                    closing.enter_context(open_log(workspace)),
                    workspace.config,
                    keys=LiveKeys(KeysFile(workspace.keys)),
                    shelf=BundleShelf(workspace),
                    bundles=workspace.bundles,
                    drift=workspace.drift,
                ),
                partial(load_engine, workspace),
                partial(newest, workspace),
                SurfacesFile(path),
                partial(champion_state, workspace.bundles),
                partial(load_before, workspace),
                VariantEngines(path, partial(load_engine, workspace), partial(filling, workspace)),
            )
            for path, workspace in zip(config_paths, workspaces, strict=True)
        ]
        tracer = tracer_to_collector(workspaces[0].config.name) if settings.traces else None
        if tracer is not None:
            closing.callback(tracer.close)
        listener = None if worker_of is None else worker_socket(worker_of)
        run(reloaders, host=host, port=port, listener=listener, follower=tracer)
