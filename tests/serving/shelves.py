"""A project with bundles, for tests."""

import shutil
from pathlib import Path

import msgspec

from recsys.bundle import MANIFEST, MANIFEST_HASH, Manifest, open_bundle, publish
from recsys.workspace import Workspace
from tests.serving.made_bundle import publish_made_bundle

TOML = """
name = "made"
[source]
interactions = "interactions.csv"
[interaction_types]
click = { label = true }
[features]
item_attributes = {}
"""


def made_project(folder: Path, scorer: Path) -> Workspace:
    """The bundles made, which is champion, and other, whose ndcg@10 is a half."""
    (folder / "recsys.toml").write_text(TOML)
    made = publish_made_bundle(folder / "bundles", scorer)
    add_bundle(made, "other", metrics={"all": {"ndcg@10": 0.5}})
    return Workspace.open(folder / "recsys.toml")


def add_bundle(like: Path, bundle_id: str, **said: object) -> Path:
    """Publish the files of a bundle under another name, with a manifest that says something else."""
    manifest: Manifest = open_bundle(like).manifest

    def copy(folder: Path) -> None:
        shutil.copytree(like, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST, MANIFEST_HASH))

    return publish(like.parent, msgspec.structs.replace(manifest, bundle_id=bundle_id, **said), copy)  # type: ignore[arg-type]
