"""Users without a past: who chose something after the cut and had done nothing before it.

They are no part of any task, for the protocol measures on those whose tastes are known. All who have no history and the
same attributes are shown the same list, so that one list a kind of user is enough.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from recsys.retrieval.merge import best
from recsys.schema import ITEM_ID, USER_ID
from recsys.state import Floats, Positions
from training.pipeline import Pipeline
from training.slices import Slice, measure_slice
from training.yardstick import Case

MOST: Final = 2_000
"""Newcomers beyond these are left out: more make the figures no surer than others."""


def cases_of_newcomers(pipeline: Pipeline, known: pl.DataFrame, chosen: pl.DataFrame) -> list[Case]:
    """The cases of the users of `chosen` who have no interaction in `known`: the first by id."""
    strangers = chosen.join(known.select(USER_ID).unique(), on=USER_ID, how="anti")
    items: dict[str, set[int]] = {}
    for user, item in strangers.select(USER_ID, ITEM_ID).unique().iter_rows():
        if item in pipeline.catalogue.index:
            items.setdefault(user, set()).add(pipeline.catalogue.index[item])
    users = sorted(items)[:MOST]
    if not users:
        return []
    nothing = np.zeros(len(pipeline.catalogue), dtype=np.bool_)
    # Without attributes one stranger is like another, and is read once.
    asked = users[:1] if pipeline.users is None else users
    states = pipeline.store.users_at(asked, pipeline.catalogue, pipeline.cut)
    states *= len(users) // len(asked)
    return [Case(state, nothing, frozenset(items[user]), user) for user, state in zip(users, states, strict=True)]


def measure_newcomers(
    pipeline: Pipeline,
    known: pl.DataFrame,
    chosen: pl.DataFrame,
    rank: Callable[[Sequence[Case]], list[Positions]],
    popularity: Floats,
) -> list[dict[str, Any]]:
    """The slice of the newcomers, against popularity; empty without newcomers. See training.report_schema.SliceFigures.

    known       the interactions before the cut
    chosen      those after it that are to be predicted
    rank        the lists of recsys for some cases, best first
    popularity  float64 (n_items,)
    """
    cases = cases_of_newcomers(pipeline, known, chosen)
    kinds: dict[bytes, int] = {}
    firsts: list[Case] = []
    kind_of = []
    for case in cases:
        kind = b"" if case.user.attributes is None else case.user.attributes.tobytes()
        if kind not in kinds:
            kinds[kind] = len(firsts)
            firsts.append(case)
        kind_of.append(kinds[kind])
    lists = rank(firsts)
    at = pipeline.config.evaluation
    tops = {
        "recsys": [lists[kind] for kind in kind_of],
        "popularity": [best(popularity, at.deepest)] * len(cases),
    }
    part = Slice("history", "new users", "who had done nothing before", [case.relevant for case in cases])
    figures = measure_slice(part, tops, at)
    return [] if figures is None else [figures]
