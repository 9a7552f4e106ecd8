"""All checks of a deployment, in the order in which one would look."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from recsys.bundle import Bundle
from recsys.errors import BundleError, ConfigError
from recsys.workspace import Workspace
from serving.doctor.finding import Finding, broken, findings, good


def examine(config_path: Path, *, host: str | None = None, port: int | None = None) -> Iterator[Finding]:
    """What is found of the project of a recsys.toml, each as soon as it is known; nothing is changed.

    host, port  where it is to listen, if not where [serving] says
    """
    try:
        workspace = Workspace.open(config_path)
    except ConfigError as error:
        yield broken("configuration", str(error))
        return
    yield good("configuration", f"{config_path} of the project {workspace.config.name}")
    # Here, so that a mistake in recsys.toml does not wait for Feast and ONNX Runtime.
    from serving.doctor import machine, models, project

    settings, now = workspace.config.serving, datetime.now(UTC)
    host, port = host or settings.host, settings.port if port is None else port
    yield from findings("rules", partial(project.rules_readable, config_path))
    yield from findings("channels", partial(project.channels_there, workspace))
    yield from findings("tables", partial(project.tables_there, workspace))
    bundle: Bundle | None = None
    try:
        bundle = models.open_champion(workspace)
    except BundleError as error:
        yield broken("bundle", str(error))
    else:
        yield from findings("bundle", partial(models.bundle_found, bundle, now))
        yield from findings("features", partial(models.features_match, workspace, bundle))
    yield from findings("feature store", partial(models.store_filled, workspace, bundle, now))
    yield from findings("event log", partial(project.log_usable, workspace))
    yield from findings("keys", partial(project.keys_usable, workspace.keys, host, now))
    yield from findings("disk", partial(machine.disk_has_room, workspace.root))
    yield from findings("port", partial(machine.port_free, host, port))
    if bundle is not None:
        yield from findings("onnxruntime", partial(models.gpu_used, bundle, workspace.config.text.precision))
        yield from findings("versions", partial(models.versions_match, bundle.manifest))
    yield from findings("threads", machine.threads_fit)
    yield from findings("clock", partial(models.clock_right, bundle, workspace, now))
