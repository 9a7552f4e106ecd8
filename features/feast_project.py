"""The Feast project in a features folder: opened by us, and described in feature_store.yaml for the `feast` command.

Reads   features/registry.db
Writes  features/feature_store.yaml
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from feast import FeatureStore, RepoConfig

from features.stored_views import PROJECT

OFFLINE_STORE: Final = "features.feast_plugins.polars_offline_store.PolarsOfflineStore"
REGISTRY: Final = "registry.db"
KEY_VERSION: Final = 3

FOREVER: Final = 0
"""As the time to live of the registry's cache: a process goes on with the schema that it was started with."""

SERVER_REFRESH_SECONDS: Final = 60

YAML: Final = """\
# Written by recsys whenever it fills the online store: changes are lost. For the command line of Feast:
#   feast -c {folder} serve
{comment}project: {project}
provider: local
registry: {registry}
online_store: {online_store}
offline_store: {offline_store}
entity_key_serialization_version: {version}
"""


def open_project(folder: Path, online_store: Mapping[str, Any] | None) -> FeatureStore:
    """The project of a folder over one online store, or none."""
    logging.getLogger("feast").setLevel(logging.ERROR)
    return FeatureStore(
        config=RepoConfig(
            project=PROJECT,
            provider="local",
            registry={**_registry(str(folder / REGISTRY)), "cache_ttl_seconds": FOREVER},
            online_store=None if online_store is None else dict(online_store),
            offline_store={"type": OFFLINE_STORE},
            entity_key_serialization_version=KEY_VERSION,
            repo_path=folder,
        )
    )


def apply(store: FeatureStore, objects: Sequence[Any]) -> None:
    """Make these the objects of the registry, and the views that a project no longer has none of it."""
    names = {found.name for found in objects}
    gone = [view for view in store.list_feature_views() if view.name not in names]
    store.apply(list(objects), objects_to_delete=list(gone), partial=not gone)


def feature_store_yaml(folder: Path, online_store: Mapping[str, Any], comment: str = "") -> str:
    """The text of feature_store.yaml; paths in it are relative to the folder."""
    # JSON is YAML, and quotes what needs to be.
    return YAML.format(
        folder=folder,
        comment="".join(f"# {line}\n" for line in comment.splitlines()),
        project=PROJECT,
        registry=json.dumps({**_registry(REGISTRY), "cache_ttl_seconds": SERVER_REFRESH_SECONDS}),
        online_store=json.dumps(dict(online_store)),
        offline_store=json.dumps({"type": OFFLINE_STORE}),
        version=KEY_VERSION,
    )


def _registry(path: str) -> dict[str, Any]:
    # Without the last one reads fail while another process fills an online store.
    return {"path": path, "cache_mode": "thread", "serve_features_while_materializing": True}
