"""Delete bundles that nobody goes back to: the champion, the one before it, those needed and the newest stay.

What the gate said of them stays as well: it is small, and the record of why each champion became one.
"""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from recsys.bundle import MANIFEST, PROMOTING, PUBLISHING, champion_id, list_bundles
from recsys.champions import forget_champions, previous_champion
from recsys.durable import exclusively
from recsys.forgetting.lineage import mark_path

_DELETED: Final = ".deleting-"


def prune(bundles: Path, *, keep: int, needed: Collection[str] = ()) -> list[str]:
    """Delete all bundles but the `keep` newest, the champion, the one before and those needed; returns their names.

    A bundle is out of sight before any file of it is gone, and a server that has it open serves on. Raises BundleError
    for a list of champions that cannot be read: nothing is deleted then.
    """
    if not bundles.is_dir():
        return []
    with exclusively(bundles / PUBLISHING), exclusively(bundles / PROMOTING):
        champion = champion_id(bundles)
        stay = {*needed, champion, None if champion is None else previous_champion(bundles, champion)}
        # A bundle never changes: its manifest is as old as itself.
        newest_first = sorted(
            list_bundles(bundles), key=lambda path: ((path / MANIFEST).stat().st_mtime_ns, path.name), reverse=True
        )
        return _deleted(bundles, [path for path in newest_first[keep:] if path.name not in stay])


def marked_bundles(bundles: Path) -> list[str]:
    """Those that were trained with users who are forgotten since, but for the champion."""
    champion = champion_id(bundles)
    names = [path.name for path in list_bundles(bundles)]
    return [name for name in names if name != champion and mark_path(bundles, name).exists()]


def prune_forgotten(bundles: Path) -> list[str]:
    """Delete the marked bundles; returns their names.

    The one before the champion is no exception: a rollback goes to the latest one that is left.
    """
    if not bundles.is_dir():
        return []
    with exclusively(bundles / PUBLISHING), exclusively(bundles / PROMOTING):
        gone = marked_bundles(bundles)
        forget_champions(bundles, gone)
        return _deleted(bundles, [bundles / name for name in gone])


def _deleted(bundles: Path, gone: Sequence[Path]) -> list[str]:
    """Delete these, and what a process that died had begun to delete; returns their names."""
    for leftover in bundles.glob(f"{_DELETED}*"):
        shutil.rmtree(leftover)
    for path in gone:
        hidden = path.rename(bundles / f"{_DELETED}{path.name}")
        shutil.rmtree(hidden)
        mark_path(bundles, path.name).unlink(missing_ok=True)
    return sorted(path.name for path in gone)
