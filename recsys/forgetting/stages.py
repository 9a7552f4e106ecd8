"""What training keeps of its stages, when a user is forgotten that any of them may have learned from: nothing.

Removes  cache/STAGE-KEY/; cache/embeddings.db, which knows texts of items alone, stays
"""

import shutil
from pathlib import Path
from typing import Final

from recsys.forgetting.lineage import trained_with
from recsys.forgetting.who import Who

DELETED: Final = ".deleting-"


def learned_from(cache: Path, who: Who) -> bool:
    """Whether any stage says that it learned from any of these."""
    return any(trained_with(folder, who) for folder in _folders(cache))


def forget_stages(cache: Path) -> int:
    """Remove the results of all stages, also of those that broke off; returns how many there were."""
    for leftover in cache.glob(f"{DELETED}*"):
        shutil.rmtree(leftover)
    found = _folders(cache)
    for folder in found:
        # Out of sight first: a stage that is half there would be taken for whole.
        hidden = folder.rename(cache / f"{DELETED}{folder.name}")
        shutil.rmtree(hidden)
    return len(found)


def _folders(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if path.is_dir()) if cache.is_dir() else []
