"""Delete bundles that nobody goes back to: the champion, the one before it, those needed and the newest stay.

What the gate said of them stays as well: it is small, and the record of why each champion became one.
"""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Final

from recsys.bundle import MANIFEST, PROMOTING, PUBLISHING, champion_id, list_bundles
from recsys.champions import previous_champion
from recsys.durable import exclusively

_DELETED: Final = ".deleting-"


def prune(bundles: Path, *, keep: int, needed: Collection[str] = ()) -> list[str]:
    """Delete all bundles but the `keep` newest, the champion, the one before and those needed; returns their names.

    A bundle is out of sight before any file of it is gone, and a server that has it open serves on. Raises BundleError
    for a list of champions that cannot be read: nothing is deleted then.
    """
    if not bundles.is_dir():
        return []
    with exclusively(bundles / PUBLISHING), exclusively(bundles / PROMOTING):
        for leftover in bundles.glob(f"{_DELETED}*"):
            shutil.rmtree(leftover)
        champion = champion_id(bundles)
        stay = {*needed, champion, None if champion is None else previous_champion(bundles, champion)}
        # A bundle never changes: its manifest is as old as itself.
        newest_first = sorted(
            list_bundles(bundles), key=lambda path: ((path / MANIFEST).stat().st_mtime_ns, path.name), reverse=True
        )
        deleted = []
        for path in newest_first[keep:]:
            if path.name not in stay:
                hidden = path.rename(bundles / f"{_DELETED}{path.name}")
                shutil.rmtree(hidden)
                deleted.append(path.name)
    return sorted(deleted)
