"""Tell the good rows of a table from the bad ones, and give the good ones the types of the schema.

The raw rows of a chunk go in; typed rows and, for each raw row, the reason why it is refused come out. A row has one
reason, the first that applies; null means that it is good.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.errors import DataError
from recsys.parsing import missing_to_null, read, read_attribute
from recsys.schema import (
    EVENT_ID,
    EVENT_TYPE,
    ITEM_ID,
    REQUEST_ID,
    REQUIRED,
    TIMESTAMP,
    UPDATED_AT,
    USER_ID,
    columns_of,
)
from recsys.sources import Chunk

# What tells one row of a table from another; a row that lacks it (an interaction without event_id) repeats nothing.
KEYS: dict[str, tuple[str, ...]] = {
    "items": (ITEM_ID, UPDATED_AT),
    "interactions": (EVENT_ID,),
    "impressions": (REQUEST_ID,),
    "users": (USER_ID,),
}
HAS_ATTRIBUTES = ("items", "users")
OF_THE_FUTURE = "timestamp in the future"

Fault = tuple[str, pl.Series]
"""A reason and the rows that it applies to."""


@dataclass
class SeenKeys:
    """Which keys came before, as sorted 64-bit hashes: 8 bytes a key, so that a long log fits.

    Two of 100 million keys have the same hash in one log of 4,000.
    """

    _runs: list[npt.NDArray[np.uint64]] = field(default_factory=list)

    def first(self, keys: pl.DataFrame) -> npt.NDArray[np.bool_]:
        """For each key whether it was neither in an earlier frame nor before it in this one; remembers them all."""
        hashes = keys.hash_rows(seed=0)
        values = hashes.to_numpy()
        fresh = hashes.is_first_distinct().to_numpy()
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, values), run.size - 1)
            fresh = fresh & (run[at] != values)
        run = np.sort(values[fresh])
        # Each run is at least twice as long as the next, so that there are few to look into.
        while self._runs and self._runs[-1].size <= 2 * run.size:
            run = np.sort(np.concatenate((self._runs.pop(), run)))
        if run.size:
            self._runs.append(run)
        return fresh


@dataclass
class Validator:
    """The checks of one table, chunk after chunk: it remembers the keys and the column names that it has seen.

    columns            our column name = the name in the file, for those that differ
    interaction_types  the event types of recsys.toml
    known_items        the item ids that an interaction may name; None: any
    latest             what is later is of the future; None: nothing is
    """

    table: str
    columns: Mapping[str, str]
    interaction_types: Sequence[str]
    known_items: pl.Series | None = None
    latest: datetime | None = None
    _found: dict[str, None] = field(default_factory=dict)
    _seen: SeenKeys = field(default_factory=SeenKeys)

    def __post_init__(self) -> None:
        unknown = [name for name in self.columns if name not in columns_of(self.table)]
        if unknown and self.table not in HAS_ATTRIBUTES:
            raise DataError(
                f"recsys.toml: [columns.{self.table}] names {unknown}, expected some of "
                f"{list(columns_of(self.table))}; correct the name, or remove it: other columns are not imported"
            )

    def __call__(self, chunk: Chunk) -> tuple[pl.DataFrame, pl.Series]:
        """The good rows, typed and under our names with the attributes last, and the reason for each raw row.

        Raises DataError when the file lacks a column that is required or named under [columns].
        """
        self._found.update(dict.fromkeys(chunk.rows.columns))
        if not chunk.loose:
            self._require(chunk.rows.columns, chunk.file)
        raw = self._named(chunk)
        known = columns_of(self.table)
        typed = pl.DataFrame([read(raw.get_column(name), dtype) for name, dtype in known.items()])
        reason = pl.Series("reason", [None] * raw.height, pl.String)
        for text, fault in [*self._missing_or_unreadable(raw, typed), *self._unfit(typed)]:
            reason = _say(text, fault & reason.is_null(), reason)
        reason = _say(f"duplicate {' and '.join(KEYS[self.table])}", self._repeated(typed, reason.is_null()), reason)
        rows = typed.hstack(raw.select(pl.exclude(list(known))))
        return rows.filter(reason.is_null()), reason

    def finish(self, place: str) -> None:
        """Raises DataError when a column that is required came in no row of the whole table at `place`."""
        if self._found:
            self._require(list(self._found), place)

    def _require(self, found: list[str], place: str) -> None:
        for ours, theirs in self.columns.items():
            if theirs not in found:
                raise DataError(
                    f"{place}: found the columns {found}, expected {theirs!r}; "
                    f"correct {ours} under [columns.{self.table}] in recsys.toml"
                )
        for name in REQUIRED[self.table]:
            if name not in self.columns and name not in found and not (name == EVENT_TYPE and self._only_type):
                raise DataError(
                    f"{place}: found the columns {found}, expected {name!r}; "
                    f'say which of them it is under [columns.{self.table}] in recsys.toml: {name} = "…"'
                )

    @property
    def _only_type(self) -> str | None:
        return self.interaction_types[0] if len(self.interaction_types) == 1 else None

    def _named(self, chunk: Chunk) -> pl.DataFrame:
        """The raw rows under our names; what is optional and absent is null."""
        rows = chunk.rows
        sources = {name: self.columns.get(name, name) for name in (*columns_of(self.table), *self.columns)}
        columns = [
            missing_to_null(rows.get_column(theirs)).alias(ours)
            if theirs in rows.columns
            else pl.Series(ours, [None] * rows.height, pl.String)
            for ours, theirs in sources.items()
        ]
        if self.table in HAS_ATTRIBUTES:
            taken = {*sources, *sources.values()}
            columns += [read_attribute(rows.get_column(name)) for name in rows.columns if name and name not in taken]
        named = pl.DataFrame(columns)
        absent = sources.get(EVENT_TYPE) not in rows.columns
        if self.table == "interactions" and self._only_type and (absent or chunk.loose):
            named = named.with_columns(pl.col(EVENT_TYPE).fill_null(self._only_type))
        return named

    def _missing_or_unreadable(self, raw: pl.DataFrame, typed: pl.DataFrame) -> list[Fault]:
        faults = []
        for name in typed.columns:
            absent = raw.get_column(name).is_null()
            if name in REQUIRED[self.table]:
                faults.append((f"missing {name}", absent))
            faults.append((f"unreadable {name}", typed.get_column(name).is_null() & ~absent))
        return faults

    def _unfit(self, typed: pl.DataFrame) -> list[Fault]:
        """Values that can be read but make no sense."""
        faults: list[Fault] = []
        if self.latest is not None and TIMESTAMP in typed.columns:
            faults.append((OF_THE_FUTURE, typed.get_column(TIMESTAMP) > self.latest))
        if self.table == "interactions":
            faults.append(("unknown event_type", ~typed.get_column(EVENT_TYPE).is_in(list(self.interaction_types))))
            if self.known_items is not None:
                faults.append(("unknown item_id", ~typed.get_column(ITEM_ID).is_in(self.known_items.implode())))
        if self.table == "impressions":
            is_blank = ~pl.element().str.contains(r"\S").fill_null(False)
            is_share = ((pl.element() > 0) & (pl.element() <= 1)).fill_null(False)
            items, propensities = pl.col("items"), pl.col("propensities")
            tests = {
                "empty items": items.list.len() == 0,
                "blank id in items": items.list.eval(is_blank).list.any(),
                "as many propensities as items expected": items.list.len() != propensities.list.len(),
                "propensities outside (0, 1]": ~propensities.list.eval(is_share).list.all(),
            }
            faults += [(reason, typed.select(test).to_series()) for reason, test in tests.items()]
        return faults

    def _repeated(self, typed: pl.DataFrame, good: pl.Series) -> pl.Series:
        """The good rows whose key a good row had before."""
        names = KEYS[self.table]
        keyed = (good & typed.get_column(names[0]).is_not_null()).to_numpy()
        repeated = np.zeros(typed.height, bool)
        repeated[keyed] = ~self._seen.first(typed.select(names).filter(keyed))
        return pl.Series(repeated)


def _say(text: str, rows: pl.Series, reason: pl.Series) -> pl.Series:
    return reason.set(rows.fill_null(False), text) if rows.any() else reason
