"""The published bundles of a project, as commands and routes see them.

Reads and writes  bundles/, and the object store of [bundles] url
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from recsys.bundle import (
    Bundle,
    Manifest,
    champion,
    champion_id,
    decision_path,
    is_id,
    list_bundles,
    read_manifest,
)
from recsys.champions import previous_champion
from recsys.errors import BundleError
from recsys.forgetting.lineage import Mark, read_mark
from recsys.shelf import Shelf
from recsys.workspace import Workspace
from serving.bundle_types import BundleLine

MAIN_METRIC: Final = "ndcg@10"
SLICE: Final = "all"
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
UNREADABLE: Final = "the manifest cannot be read"


class NoSuchBundleError(BundleError):
    """A bundle is named that is not there."""


class Stored(NamedTuple):
    """What an object store has: the champion, what a rollback goes back to, and all bundles; None: unreadable."""

    champion: str | None
    previous: str | None
    manifests: Mapping[str, Manifest | None]


class BundleShelf:
    """Of one project."""

    def __init__(self, workspace: Workspace, shelf: Shelf | None = None) -> None:
        """shelf: of the same project, if there is one already. Raises ConfigError as Shelf does."""
        self.path: Final = workspace.bundles
        self._config = workspace.config
        self._shelf = shelf or Shelf(workspace)

    def lines(self, stored: Stored | None = None) -> list[BundleLine]:
        """Every bundle, the newest first; one that cannot be read comes last and says so. Files are not compared.

        stored  what the object store has; None: only those that lie here are listed, and the champion is that of here
        """
        champion, previous = champion_id(self.path), self.previous()
        found: dict[str, Manifest | None] = {path.name: self._here(path) for path in list_bundles(self.path)}
        lines = []
        if stored is not None:
            if stored.champion is not None:
                champion, previous = stored.champion, stored.previous
            found = {**stored.manifests, **found}
        for name, manifest in sorted(found.items()):
            mark = self.mark(name)
            forgotten = 0 if mark is None else len(mark.users)
            line = BundleLine(name, name == champion, name == previous, forgotten_users=forgotten, problem=UNREADABLE)
            if manifest is not None:
                line = msgspec.structs.replace(
                    line,
                    created_at=manifest.created_at,
                    trained_until=manifest.trained_until,
                    metric=MAIN_METRIC,
                    value=main_metric(manifest),
                    problem=None,
                )
            lines.append(line)
        return sorted(lines, key=lambda line: line.created_at or _NEVER, reverse=True)

    def stored(self) -> Stored | None:
        """What the object store has; None where the project has none. Raises StoreError."""
        remote = self._shelf.remote
        if remote is None:
            return None
        promoted = remote.promoted()
        return Stored(promoted.champion, promoted.before, remote.manifests())

    def where(self, bundle_id: str, stored: Stored) -> str:
        """Where a bundle lies, in words."""
        if bundle_id not in stored.manifests:
            return "here"
        return "here and in the store" if self.is_here(bundle_id) else "in the store"

    def is_here(self, bundle_id: str) -> bool:
        """Whether it lies in the folder."""
        return any(path.name == bundle_id for path in list_bundles(self.path))

    def champion(self) -> str:
        """The id of the champion, that of the store where there is one. Raises BundleError when none was promoted."""
        remote = self._shelf.remote
        return (None if remote is None else remote.promoted().champion) or champion(self.path).name

    def previous(self) -> str | None:
        """What a rollback would go back to, if anything. Raises BundleError for a list that cannot be read."""
        champion = champion_id(self.path)
        return None if champion is None else previous_champion(self.path, champion)

    def manifest(self, bundle_id: str) -> Manifest:
        """Raises BundleError."""
        return self._manifest_in_store(bundle_id) or read_manifest(self._folder(bundle_id))

    def decision(self, bundle_id: str) -> dict[str, Any] | None:
        """What the gate said of a bundle; None when it never saw it."""
        path, remote = decision_path(self.path, bundle_id), self._shelf.remote
        content = path.read_bytes() if path.exists() else None if remote is None else remote.decision(bundle_id)
        return None if content is None else msgspec.json.decode(content, type=dict[str, Any])

    def mark(self, bundle_id: str) -> Mark | None:
        """Of a bundle that was trained with users who are forgotten since. Raises BundleError."""
        return read_mark(self.path, bundle_id)

    def promote(self, bundle_id: str) -> None:
        """Make a bundle the champion once all of it was checked; one that is in the store alone is brought here.

        Raises BundleError, and changes nothing.
        """
        if self._manifest_in_store(bundle_id) is None:
            self._folder(bundle_id)
        self._shelf.promote(bundle_id, self._check)

    def rollback(self) -> str:
        """Go back to the champion before, once all of it was checked; its id. Raises BundleError, changes nothing."""
        return self._shelf.rollback(self._check)

    def prune_forgotten(self) -> list[str]:
        """Delete those that learned from users who are forgotten since, but the champion. Raises BundleError."""
        return self._shelf.prune_forgotten()

    def prune(self, *, keep: int) -> list[str]:
        """Delete all but the newest and those that are needed, here and in the store; returns their names."""
        return self._shelf.prune(keep=keep)

    def _manifest_in_store(self, bundle_id: str) -> Manifest | None:
        """None of one that lies here. The name is compared, and is never part of a path of the store before."""
        remote = self._shelf.remote
        if remote is None or self.is_here(bundle_id) or not is_id(bundle_id):
            return None
        return remote.manifest(bundle_id)

    def _here(self, path: Path) -> Manifest | None:
        """None of one that cannot be read."""
        try:
            return read_manifest(path)
        except BundleError:
            return None

    def _check(self, bundle: Bundle) -> None:
        # Here: a list waits neither for Feast nor for ONNX Runtime.
        from features.featureset import FeatureSet
        from serving.fitting import check_fits

        check_fits(FeatureSet.of_config(self._config), bundle)

    def _folder(self, bundle_id: str) -> Path:
        """Raises NoSuchBundleError. The name is compared, and is never part of a path before."""
        for path in list_bundles(self.path):
            if path.name == bundle_id:
                return path
        raise NoSuchBundleError(
            f"{self.path}: there is no bundle {bundle_id!r}; `recsys bundles list` shows the published ones"
        )


def main_metric(manifest: Manifest) -> float | None:
    """None of a bundle that was published without being measured."""
    value = (manifest.metrics.get(SLICE) or {}).get(MAIN_METRIC)
    return None if value is None else float(value)


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"all": {"ndcg@10": 0.4}} as {"all.ndcg@10": 0.4}."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def differences(before: Manifest, after: Manifest) -> dict[str, tuple[Any, Any]]:
    """What two bundles say differently of how they were made and how good they are, by its name: (before, after).

    Lists, as the features are, differ in what only one of them has, or else in their order.
    """
    told = [flat(_comparable(manifest)) for manifest in (before, after)]
    found = {}
    for name in dict.fromkeys((*told[0], *told[1])):
        one, other = (each.get(name) for each in told)
        if one == other:
            continue
        if isinstance(one, list) and isinstance(other, list):
            one, other = ([x for x in a if x not in b] or a for a, b in ((one, other), (other, one)))
        found[name] = one, other
    return found


def _comparable(manifest: Manifest) -> dict[str, Any]:
    """Without what always differs."""
    told: dict[str, Any] = msgspec.to_builtins(manifest)
    return {name: value for name, value in told.items() if name not in ("bundle_id", "files", "format_version")}
