"""Delete bundles that nobody goes back to: the champion, the one before it and the newest stay."""

import shutil
from pathlib import Path
from typing import Final

from recsys.bundle import MANIFEST, PROMOTING, PUBLISHING, champion_id, decision_path, list_bundles
from recsys.champions import previous_champion
from recsys.durable import exclusively

_DELETED: Final = ".deleting-"


def prune(bundles: Path, *, keep: int) -> list[str]:
    """Delete all bundles but the `keep` newest, the champion and the one before; returns the names of the deleted.

    A bundle is out of sight before any file of it is gone, and a server that has it open serves on. Raises BundleError
    for a list of champions that cannot be read: nothing is deleted then.
    """
    if not bundles.is_dir():
        return []
    with exclusively(bundles / PUBLISHING), exclusively(bundles / PROMOTING):
        for leftover in bundles.glob(f"{_DELETED}*"):
            shutil.rmtree(leftover)
        champion = champion_id(bundles)
        needed = {champion, None if champion is None else previous_champion(bundles, champion)}
        # A bundle never changes: its manifest is as old as itself.
        newest_first = sorted(
            list_bundles(bundles), key=lambda path: ((path / MANIFEST).stat().st_mtime_ns, path.name), reverse=True
        )
        deleted = []
        for path in newest_first[keep:]:
            if path.name not in needed:
                hidden = path.rename(bundles / f"{_DELETED}{path.name}")
                shutil.rmtree(hidden)
                decision_path(bundles, path.name).unlink(missing_ok=True)
                deleted.append(path.name)
    return sorted(deleted)
