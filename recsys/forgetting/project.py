"""What training keeps of users: which bundles learned from them, and all else that is then computed anew.

Bundles are marked first and tables are changed last, so that a process that dies on the way knows the next time what
there was to forget. Callers hold the lock of retrainings.
"""

from pathlib import Path
from typing import NamedTuple

from recsys.forgetting.lineage import mark_bundles
from recsys.forgetting.stages import forget_stages, learned_from
from recsys.forgetting.tables import first_seen, forget_tables
from recsys.forgetting.who import Who
from recsys.workspace import Workspace


class Lineage(NamedTuple):
    """The bundles that were trained with any of some users, now marked; how many results of stages went."""

    bundles: list[str]
    stages: int


def forget_lineage(workspace: Workspace, who: Who) -> Lineage:
    """Mark bundles, and remove the results of all stages if any may have learned from these users."""
    first = first_seen(workspace, who)
    marked = mark_bundles(workspace.bundles, who, first_seen=first)
    is_known = first is not None or bool(marked) or learned_from(workspace.cache, who)
    return Lineage(marked, forget_stages(workspace.cache) if is_known else 0)


def forget_rows(workspace: Workspace, who: Who) -> dict[str, int]:
    """Remove their rows from tables, refused rows and reports; returns how many of each."""
    return forget_tables(workspace, who)


def retrain_lock(root: Path) -> Path:
    """Held by the one process that retrains, or that forgets what training keeps."""
    return root / ".retrain.lock"
