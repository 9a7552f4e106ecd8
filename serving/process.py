"""A process that serves: the projects, what it keeps open for them, and the application.

Importing this imports all that is needed to serve; serving.supervisor forks afterwards.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from socket import socket

from recsys.bundle import champion_state
from recsys.forgetting.register import Register
from recsys.shelf import Shelf
from recsys.workspace import Workspace
from serving.bundle_mirror import load_brought, mirror_of
from serving.bundle_shelf import BundleShelf
from serving.engine import filling, load_before, load_engine, newest
from serving.forgetting.served import forget_users
from serving.keys_file import KeysFile, LiveKeys
from serving.open_log import open_log
from serving.reload import Reloader
from serving.server import run
from serving.service import Service
from serving.surfaces import SurfacesFile
from serving.tracing import tracer_to_collector
from serving.variant_engines import VariantEngines


def serve_projects(config_paths: Sequence[Path], *, host: str, port: int, listener: socket | None = None) -> None:
    """Serve the projects of these recsys.toml until SIGTERM or SIGINT; as serving.server.run, which may raise."""
    workspaces = [Workspace.open(path) for path in config_paths]
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
                _together(partial(newest, workspace), forgotten),
                SurfacesFile(path),
                _together(partial(champion_state, workspace.bundles), forgotten),
                partial(load_before, workspace),
                VariantEngines(
                    path,
                    partial(load_brought, shelf, partial(load_engine, workspace)),
                    _together(partial(filling, workspace), forgotten),
                ),
            )
            for path, workspace, shelf in zip(config_paths, workspaces, shelves, strict=True)
            for forgotten in [Register(workspace.root).served]
        ]
        first = workspaces[0].config
        tracer = tracer_to_collector(first.name) if first.serving.traces else None
        if tracer is not None:
            closing.callback(tracer.close)
        run(reloaders, host=host, port=port, listener=listener, follower=tracer)


def _together(*signs: Callable[[], object]) -> Callable[[], object]:
    return lambda: tuple(sign() for sign in signs)
