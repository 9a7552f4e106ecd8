"""Several projects in one server, told apart by the keys of requests: what must hold for their data to stay apart.

Each has a folder, an event log, bundles, features and keys of its own; nothing is shared but the process and its port.
"""

from collections.abc import Sequence

from recsys.errors import ConfigError, RecsysError
from recsys.workspace import Workspace
from serving.local import is_loopback
from serving.service import Service


class NoKeysError(RecsysError):
    """A server would be open to others than this machine, or could not tell its projects apart."""


def check_apart(workspaces: Sequence[Workspace]) -> None:
    """Raises ConfigError for projects that share a folder, or a name, which is what tells their rows in Redis apart."""
    for at, workspace in enumerate(workspaces):
        for other in workspaces[:at]:
            if workspace.root == other.root:
                raise ConfigError(
                    f"{workspace.root}: two projects lie in this folder; give each a folder of its own, or name it once"
                )
            if workspace.config.name == other.config.name:
                raise ConfigError(
                    f"{workspace.root}: the project has the name {workspace.config.name!r} of the one in {other.root}; "
                    "expected names that differ, change `name` in one recsys.toml and train it anew"
                )


def check_keys(services: Sequence[Service], host: str) -> None:
    """Raises NoKeysError unless each project has keys, or there is one and `host`, the address that the server listens
    on, is that of this machine alone; and for a key that two projects have."""
    keyless = [service for service in services if not service.keys]
    if keyless and (len(services) > 1 or not is_loopback(host)):
        name, keys = keyless[0].config.name, keyless[0].keys
        why = "several projects are told apart by their keys" if len(services) > 1 else f"others reach {host} as well"
        how = "" if keys is None else f" --config {keys.path.parent}/recsys.toml"
        instead = "" if len(services) > 1 else ", or listen on this machine alone with --host 127.0.0.1"
        raise NoKeysError(
            f"the project {name} has no keys, and {why}; make one with "
            f"`recsys keys create{how} --name NAME --scope rank`{instead}"
        )
    seen: dict[str, str] = {}
    for service in services:
        for key_id in sorted(service.keys.ids() if service.keys else ()):
            if key_id in seen:
                raise NoKeysError(
                    f"the projects {seen[key_id]} and {service.config.name} both have the key {key_id}; expected keys "
                    "of their own, remove the copied keys.json of one and make new keys with `recsys keys create`"
                )
            seen[key_id] = service.config.name
