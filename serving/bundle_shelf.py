"""The published bundles of a project, as commands and routes see them.

Reads and writes  bundles/
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from recsys.bundle import Bundle, Manifest, champion_id, list_bundles, promote, read_manifest, rollback
from recsys.champions import previous_champion
from recsys.errors import BundleError
from recsys.forgetting.lineage import Mark, read_mark
from recsys.workspace import Workspace
from serving.bundle_types import BundleLine

MAIN_METRIC: Final = "ndcg@10"
SLICE: Final = "all"
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
UNREADABLE: Final = "the manifest cannot be read"


class NoSuchBundleError(BundleError):
    """A bundle is named that is not there."""


class BundleShelf:
    """Of one project."""

    def __init__(self, workspace: Workspace) -> None:
        self.path: Final = workspace.bundles
        self._config = workspace.config

    def lines(self) -> list[BundleLine]:
        """Every bundle, the newest first; one that cannot be read comes last and says so. Files are not compared."""
        champion, previous = champion_id(self.path), self.previous()
        lines = []
        for path in list_bundles(self.path):
            is_champion, is_previous = path.name == champion, path.name == previous
            mark = self.mark(path.name)
            forgotten = 0 if mark is None else len(mark.users)
            try:
                manifest = read_manifest(path)
            except BundleError:
                lines.append(
                    BundleLine(path.name, is_champion, is_previous, forgotten_users=forgotten, problem=UNREADABLE)
                )
                continue
            lines.append(
                BundleLine(
                    path.name,
                    is_champion,
                    is_previous,
                    created_at=manifest.created_at,
                    trained_until=manifest.trained_until,
                    metric=MAIN_METRIC,
                    value=main_metric(manifest),
                    forgotten_users=forgotten,
                )
            )
        return sorted(lines, key=lambda line: line.created_at or _NEVER, reverse=True)

    def previous(self) -> str | None:
        """What a rollback would go back to, if anything. Raises BundleError for a list that cannot be read."""
        champion = champion_id(self.path)
        return None if champion is None else previous_champion(self.path, champion)

    def manifest(self, bundle_id: str) -> Manifest:
        """Raises BundleError."""
        return read_manifest(self._folder(bundle_id))

    def mark(self, bundle_id: str) -> Mark | None:
        """Of a bundle that was trained with users who are forgotten since. Raises BundleError."""
        return read_mark(self.path, bundle_id)

    def promote(self, bundle_id: str) -> None:
        """Make a bundle the champion once all of it was checked. Raises BundleError, and changes nothing."""
        self._folder(bundle_id)
        promote(self.path, bundle_id, self._check)

    def rollback(self) -> str:
        """Go back to the champion before, once all of it was checked; its id. Raises BundleError, changes nothing."""
        return rollback(self.path, self._check)

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
