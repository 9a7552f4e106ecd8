"""Delete bundles that nobody goes back to: the champion, the one before it and the newest stay."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from recsys.bundle import MANIFEST, PROMOTING, PUBLISHING, champion_id, decision_path, list_bundles
from recsys.champions import forget_champions, previous_champion
from recsys.durable import exclusively
from recsys.forgetting.lineage import mark_path

_DELETED: Final = ".deleting-"


def prune(bundles: Path, *, keep: int) -> list[str]:
    """Delete all bundles but the `keep` newest, the champion and the one before; returns the names of the deleted.

    A bundle is out of sight before any file of it is gone, and a server that has it open serves on. Raises BundleError
    for a list of champions that cannot be read: nothing is deleted then.
    """
    if not bundles.is_dir():
        return []
    with exclusively(bundles / PUBLISHING), exclusively(bundles / PROMOTING):
        champion = champion_id(bundles)
        needed = {champion, None if champion is None else previous_champion(bundles, champion)}
        # A bundle never changes: its manifest is as old as itself.
        newest_first = sorted(
            list_bundles(bundles), key=lambda path: ((path / MANIFEST).stat().st_mtime_ns, path.name), reverse=True
        )
        return _deleted(bundles, [path for path in newest_first[keep:] if path.name not in needed])


def prune_forgotten(bundles: Path) -> list[str]:
    """Delete the bundles that were trained with users who are forgotten since, but for the champion; returns the names.

    The one before the champion is no exception: a rollback goes to the latest one that is left.
    """
    if not bundles.is_dir():
        return []
    with exclusively(bundles / PUBLISHING), exclusively(bundles / PROMOTING):
        champion = champion_id(bundles)
        marked = [path for path in list_bundles(bundles) if mark_path(bundles, path.name).exists()]
        gone = [path for path in marked if path.name != champion]
        forget_champions(bundles, {path.name for path in gone})
        return _deleted(bundles, gone)


def _deleted(bundles: Path, gone: Sequence[Path]) -> list[str]:
    """Delete these, and what a process that died had begun to delete; returns their names."""
    for leftover in bundles.glob(f"{_DELETED}*"):
        shutil.rmtree(leftover)
    for path in gone:
        hidden = path.rename(bundles / f"{_DELETED}{path.name}")
        shutil.rmtree(hidden)
        decision_path(bundles, path.name).unlink(missing_ok=True)
        mark_path(bundles, path.name).unlink(missing_ok=True)
    return sorted(path.name for path in gone)
