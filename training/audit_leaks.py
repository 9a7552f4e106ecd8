"""Prove that no row that the ranker learns from, or is measured on, saw the future.

Rows are made in two ways: as the pipeline makes them, and anew from tables that end at the moment of their window. Both
must be equal, candidate by candidate and float32 by float32. The fold of the text model is shared: it is not trained
again; its files must be as they were written and its `seen_until` must lie before the window.

Reads   tables/, features/, cache/

    recsys audit leaks --config recsys.toml
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from features.differences import Difference, catalogue_differences, row_differences
from features.store import BehaviourStore
from features.weights import weights_of
from recsys.catalogue import Catalogue
from recsys.errors import LeakError
from recsys.interest import InterestScorer
from recsys.progress import progress
from recsys.schema import ITEM_ID, TIMESTAMP, UPDATED_AT
from training.pipeline import Pipeline
from training.ranker_rows import groups_of
from training.stages import hash_of_file
from training.text_stage import TextModel
from training.windows import Window, open_window


@dataclass(frozen=True)
class AuditedWindow:
    """What was compared of a window, and what differs.

    users    of the window; `rows` of them were audited, with all their candidates
    columns  features of a candidate; `values` of them were compared in all
    """

    start: datetime
    end: datetime | None
    users: int
    rows: int
    columns: int
    values: int
    differences: list[Difference]


def audit_leaks(pipeline: Pipeline, *, rows: int, seed: int, windows: int | None = None) -> list[AuditedWindow]:
    """Every window of the ranker and the time after the cut; about `rows` rows, as many of each, drawn at random.

    windows  at most so many, drawn at random, but for the time after the cut, which is always among them; None: all
    """
    pipeline.compute_features()
    _ = pipeline.text
    random = np.random.default_rng(seed)
    spans = pipeline.spans
    if windows is not None and windows < len(spans):
        drawn = np.sort(random.permutation(len(spans) - 1)[: windows - 1]).tolist()
        spans = [spans[at] for at in [*drawn, len(spans) - 1]]
    audited = []
    weights = weights_of(pipeline.config.interaction_types)
    with (
        progress("looking for leaks", len(spans)) as advance,
        TemporaryDirectory(prefix="recsys-audit-") as folder,
    ):
        # One for all, from the first window on: none finds days in it that come after its start.
        store = BehaviourStore(Path(folder), pipeline.features, weights)
        for part, (start, end) in zip(np.array_split(np.arange(rows), len(spans)), spans, strict=True):
            audited.append(_audit_window(pipeline, store, start, end, len(part), random))
            advance(note=f"{sum(len(window.differences) for window in audited)} differences")
    return audited


def _audit_window(
    pipeline: Pipeline,
    store: BehaviourStore,
    start: datetime,
    end: datetime | None,
    rows: int,
    random: np.random.Generator,
) -> AuditedWindow:
    catalogue = Catalogue.load(items_before(pipeline.workspace.read_table("items"), start))
    # Which number stands for a name is that of the cut, and says nothing by itself.
    catalogue = replace(catalogue, numbers=pipeline.catalogue.numbers, of_users=pipeline.catalogue.of_users)
    differences = [
        *catalogue_differences(pipeline.catalogue.at(start), catalogue),
        *fold_differences(pipeline.text, start),
    ]
    scorer = _scorer(pipeline.text, start)
    found, expected = pipeline.window(start, end), window_anew(pipeline, store, catalogue, start, end)
    if (found.users, found.labels) != (expected.users, expected.labels):
        sums = (f"{len(one.users)} users, {sum(map(len, one.labels))} labels" for one in (found, expected))
        differences.append(Difference("users and labels", None, None, *sums))
    ours, anew = (pipeline.recommender(window.items, scorer) for window in (found, expected))
    names = pipeline.features.names(() if scorer is None else scorer.signals)
    users = len(found.users) if found.users == expected.users else 0
    chosen = np.sort(random.permutation(users)[:rows]).tolist()
    values = 0
    for row in chosen:
        groups = zip(groups_of(ours, found.states[row]), groups_of(anew, expected.states[row]), strict=True)
        for one, other in groups:
            differences += row_differences(row, one, other, names, catalogue.item_ids)
            values += other.matrix.size
    return AuditedWindow(start, end, len(found.users), len(chosen), len(names), values, differences)


def _scorer(text: TextModel, moment: datetime) -> InterestScorer | None:
    """None when it saw the future: that is told already, and behaviour can still be compared."""
    try:
        return text.scorer(moment)
    except LeakError:
        return None


def window_anew(
    pipeline: Pipeline, store: BehaviourStore, catalogue: Catalogue, start: datetime, end: datetime | None
) -> Window:
    """The window with features from nothing but what happened before `start`; only labels come from later.

    store  that knows of nothing at or after `start`
    """
    before_end = pipeline.interactions if end is None else pipeline.interactions.filter(pl.col(TIMESTAMP) < end)
    known, impressions = before_end.filter(pl.col(TIMESTAMP) < start), pipeline.impressions
    shown = None if impressions is None else impressions.filter(pl.col(TIMESTAMP) < start)
    store.snapshot(known, catalogue, [start], impressions=shown, users=pipeline.users)
    return open_window(store, catalogue, before_end, start=start, end=end, label_weights=pipeline.label_weights)


def items_before(items: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    """The versions before a moment; of an item that has none, the first: the whole catalogue is ranked at any time."""
    if UPDATED_AT not in items.columns:
        return items
    is_earlier = pl.col(UPDATED_AT).is_null() | (pl.col(UPDATED_AT) < moment)
    is_first = pl.col(ITEM_ID).is_first_distinct() & ~is_earlier.any().over(ITEM_ID)
    return items.sort(UPDATED_AT, nulls_last=False, maintain_order=True).filter(is_earlier | is_first)


def fold_differences(text: TextModel, moment: datetime) -> Iterator[Difference]:
    """Whether the text model that scores from a moment on saw only what came before, and is as it was written."""
    fold = text.fold(moment)
    if fold.seen_until >= moment:
        yield Difference("seen_until of the text fold", None, None, str(fold.seen_until), f"before {moment}")
    for name, written in fold.hashes.items():
        if (found := hash_of_file(text.folder / name)) != written:
            yield Difference(f"{name} of the text fold", None, None, f"SHA-256 {found[:12]}", written[:12])


def print_audit(audited: Sequence[AuditedWindow]) -> None:
    """One table, a window a line."""
    table = Table(title="rows made anew from tables that end where the window begins", title_justify="left")
    table.add_column("window from", no_wrap=True)
    for name in ("users", "rows", "columns", "values", "differences"):
        table.add_column(name, justify="right", no_wrap=True)
    for window in audited:
        counts = (window.users, window.rows, window.columns, window.values, len(window.differences))
        table.add_row(f"{window.start:%Y-%m-%d %H:%M}", *(f"{count:,}" for count in counts))
    Console().print(table)


def findings(audited: Sequence[AuditedWindow]) -> list[str]:
    """For each window and each thing that differs there the first example, in how many rows, and what to do."""
    lines = []
    for window in audited:
        by_what: dict[str, list[Difference]] = {}
        for difference in window.differences:
            by_what.setdefault(difference.what, []).append(difference)
        for what, differences in by_what.items():
            rows = len({difference.row for difference in differences})
            of_rows = f" (in {rows} of {window.rows} rows)" if differences[0].row is not None else ""
            lines.append(f"window {window.start.isoformat()}: {differences[0]}{of_rows}; {_what_to_do(what)}")
    return lines


def _what_to_do(what: str) -> str:
    if what.endswith("of the catalogue"):
        return "the pipeline reads a version of the item that came later; see Catalogue.at"
    if what.endswith("of the text fold"):
        return "remove cache/ of the project and run `recsys train` again"
    return (
        "remove features/ of the project and run `recsys train` again; if it still differs, what computes it in "
        "features/ looks at or after the moment of the window"
    )
