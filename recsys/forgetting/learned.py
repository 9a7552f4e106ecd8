"""What learned from users: bundles are marked, results of stages are removed and computed anew.

This comes before the tables are changed (recsys.forgetting.tables), so that a process that dies on the way knows the
next time what there was to forget. Callers hold the lock of retrainings.
"""

from typing import NamedTuple

from recsys.forgetting.lineage import mark_bundles
from recsys.forgetting.stages import forget_stages, learned_from
from recsys.forgetting.tables import first_seen
from recsys.forgetting.who import Who
from recsys.workspace import Workspace


class Learned(NamedTuple):
    """The bundles that were trained with any of some users, now marked; how many results of stages went."""

    bundles: list[str]
    stages: int


def forget_learned(workspace: Workspace, who: Who) -> Learned:
    """Mark bundles, and remove the results of all stages if any may have learned from these users."""
    first = first_seen(workspace, who)
    marked = mark_bundles(workspace.bundles, who, first_seen=first)
    is_known = first is not None or bool(marked) or learned_from(workspace.cache, who)
    return Learned(marked, forget_stages(workspace.cache) if is_known else 0)
