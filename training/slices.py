"""For whom and for what the engine works: ours and the best baseline on parts of the users and of the items.

A slice by users has some users with all that they chose. A slice by items has, of each user, what was chosen of these
items alone; the list is the one of the whole task, so that other finds count as misses: compare the models of a slice,
not one slice with another.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from recsys.catalogue import Catalogue
from recsys.config import Evaluation
from recsys.metrics import per_user_metrics, summarise
from recsys.schema import ITEM_ID, TIMESTAMP, USER_ID
from recsys.state import Positions
from training.paired import paired_differences
from training.tally import Tally
from training.yardstick import Case

FEW_USERS: Final = 50
"""With fewer an interval is too wide, and too rough itself, to decide anything by: the slice is marked."""

TOP_CATEGORIES: Final = 6
RARE_USERS: Final = 5
THIRDS: Final = ("light users", "medium users", "heavy users")


@dataclass(frozen=True)
class Slice:
    """A part of a task.

    by        history, item, category or month
    detail    what the name means in this data
    relevant  for each case of the task what counts; empty: the user is not in the slice
    """

    by: str
    name: str
    detail: str
    relevant: Sequence[frozenset[int]]


def slices_of(
    tally: Tally, task: str, catalogue: Catalogue, had: Positions, chosen: pl.DataFrame
) -> list[dict[str, Any]]:
    """The figures of every slice of a task, of ours and the best baseline; empty where one of them is missing.

    had     int64 (n_items,), distinct users of each item before the cut
    chosen  the interactions that the task measures on
    """
    rivals = tally.rivals(task)
    if rivals is None:
        return []
    tops = {entry.model: entry.top for entry in rivals}
    parts = cut_up(tally.tasks[task], catalogue, had, chosen)
    figures = [measure_slice(part, tops, tally.yardstick.at) for part in parts]
    return [one for one in figures if one is not None]


def cut_up(cases: Sequence[Case], catalogue: Catalogue, had: Positions, chosen: pl.DataFrame) -> Iterator[Slice]:
    """Every slice of the cases of a task, as far as the data tell it: see slices_of."""
    yield from by_history(cases)
    for name, detail, is_in in (
        ("new items", "that nobody had before", had == 0),
        ("rare items", f"that 1 to {RARE_USERS} users had before", (had > 0) & (had <= RARE_USERS)),
        ("other items", f"that more than {RARE_USERS} users had before", had > RARE_USERS),
    ):
        yield Slice("item", name, detail, _only(cases, frozenset(np.flatnonzero(is_in).tolist())))
    yield from by_category(cases, catalogue)
    yield from by_month(cases, catalogue, chosen)


def by_history(cases: Sequence[Case]) -> Iterator[Slice]:
    """Thirds of the users by the distinct items of their history; equal lengths stay together."""
    lengths = np.array([len(case.user.history) for case in cases])
    light, medium = np.quantile(lengths, (1 / 3, 2 / 3), method="inverted_cdf")
    third_of = (lengths > light).astype(int) + (lengths > medium)
    for third, name in enumerate(THIRDS):
        is_in = third_of == third
        if is_in.any():
            low, high = lengths[is_in].min(), lengths[is_in].max()
            detail = f"items in the history: {low:,}" + (f" to {high:,}" if low < high else "")
            relevant = [case.relevant if inside else frozenset() for case, inside in zip(cases, is_in, strict=True)]
            yield Slice("history", name, detail, relevant)


def by_category(cases: Sequence[Case], catalogue: Catalogue) -> Iterator[Slice]:
    """The categories of which most was chosen, the largest first."""
    category_of = catalogue.categories_at(None)
    chosen = np.array([item for case in cases for item in case.relevant], dtype=np.int64)
    counts = np.bincount(category_of[chosen][category_of[chosen] >= 0], minlength=1)
    names = list(catalogue.category_index)
    for category in np.argsort(-counts, kind="stable")[:TOP_CATEGORIES].tolist():
        if counts[category]:
            items = frozenset(np.flatnonzero(category_of == category).tolist())
            yield Slice("category", names[category], f"{counts[category]:,} choices", _only(cases, items))


def by_month(cases: Sequence[Case], catalogue: Catalogue, chosen: pl.DataFrame) -> Iterator[Slice]:
    """What was chosen in each month, in the order of time; nothing when all was chosen in one."""
    month = pl.col(TIMESTAMP).dt.strftime("%Y-%m").alias("month")
    items: dict[tuple[str, str], set[int]] = {}
    for user, at, item in chosen.select(USER_ID, month, ITEM_ID).unique().iter_rows():
        if item in catalogue.index:
            items.setdefault((user, at), set()).add(catalogue.index[item])
    months = sorted({at for _, at in items})
    for at in months if len(months) > 1 else []:
        relevant = [case.relevant & items.get((case.user_id, at), set()) for case in cases]
        yield Slice("month", at, "what was chosen in it", relevant)


def measure_slice(part: Slice, tops: Mapping[str, Sequence[Positions]], at: Evaluation) -> dict[str, Any] | None:
    """The figures of a slice, see SliceFigures in training.report_schema; None when no user is in it.

    tops  of our model and of the baseline, in this order, the lists of all cases
    """
    rows = [row for row, relevant in enumerate(part.relevant) if relevant]
    if not rows:
        return None
    relevant = [part.relevant[row] for row in rows]
    main = main_metrics(at)
    values = {model: per_user_metrics([top[row] for row in rows], relevant, main) for model, top in tops.items()}
    ours, baseline = tops
    return {
        "by": part.by,
        "name": part.name,
        "detail": part.detail,
        "users": len(rows),
        "few": len(rows) < FEW_USERS,
        "model": ours,
        "baseline": baseline,
        "models": {model: summarise(found) for model, found in values.items()},
        "paired": paired_differences(values[ours], values[baseline]),
    }


def main_metrics(at: Evaluation) -> Evaluation:
    """The metrics that slices are measured by: the shortest ndcg and the deepest recall."""
    none: dict[str, tuple[int, ...]] = {
        name: () for name in msgspec.structs.asdict(at) if name not in ("recall_at", "ndcg_at")
    }
    return Evaluation(recall_at=(max(at.recall_at),), ndcg_at=(min(at.ndcg_at),), **none)


def _only(cases: Sequence[Case], items: frozenset[int]) -> list[frozenset[int]]:
    return [case.relevant & items for case in cases]
