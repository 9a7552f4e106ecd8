"""The command `recsys serve`."""

from collections.abc import Callable, Sequence
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
    from recsys.forgetting.register import Register
    from recsys.shelf import Shelf
    from serving.bundle_mirror import load_brought, mirror_of
    from serving.bundle_shelf import BundleShelf
    from serving.engine import filling, load_before, load_engine, newest
    from serving.forgetting.served import forget_users
    from serving.keys_file import KeysFile, LiveKeys
    from serving.open_log import open_log
    from serving.reload import Reloader
    from serving.server import run
    from serving.service import Service
    from serving.supervised import worker_socket
    from serving.surfaces import SurfacesFile
    from serving.tracing import tracer_to_collector
    from serving.variant_engines import VariantEngines

    def together(*signs: Callable[[], object]) -> Callable[[], object]:
        return lambda: tuple(sign() for sign in signs)

    shelves = [Shelf(workspace) for workspace in workspaces]
    with ExitStack() as closing:
        reloaders = [
            Reloader(
                Service(
                    closing.enter_context(open_log(workspace)),
                    workspace.config,
                    keys=LiveKeys(KeysFile(workspace.keys)),
                    shelf=BundleShelf(workspace, shelf),
                    bundles=workspace.bundles,
                    forget=partial(forget_users, workspace),
                    mirror=mirror_of(workspace, shelf),
                    drift=workspace.drift,
                ),
                partial(load_engine, workspace),
                # An engine that is loaded anew knows nothing of users who were forgotten.
                together(partial(newest, workspace), forgotten),
                SurfacesFile(path),
                together(partial(champion_state, workspace.bundles), forgotten),
                partial(load_before, workspace),
                VariantEngines(
                    path,
                    partial(load_brought, shelf, partial(load_engine, workspace)),
                    together(partial(filling, workspace), forgotten),
                ),
            )
            for path, workspace, shelf in zip(config_paths, workspaces, shelves, strict=True)
            for forgotten in [Register(workspace.root).served]
        ]
        tracer = tracer_to_collector(workspaces[0].config.name) if settings.traces else None
        if tracer is not None:
            closing.callback(tracer.close)
        listener = None if worker_of is None else worker_socket(worker_of)
        run(reloaders, host=host, port=port, listener=listener, follower=tracer)
