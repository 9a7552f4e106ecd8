"""The join in time: which row of a feature view was the latest that a moment could know.

Times are int64 microseconds since the epoch. Only positions come out, in the order of the moments, so that the features
themselves are moved once.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

AT: Final = "__at"
CREATED: Final = "__created"
ORDER: Final = "__order"
_KNOWN, _POSITION, _RANK, _ROW = "__known", "__position", "__rank", "__row"


def latest_seen(
    moments: pl.DataFrame,
    history: pl.DataFrame,
    keys: Sequence[str],
    *,
    ttl: int | None,
    hide_late: bool = False,
) -> pl.Series:
    """For each moment the position in `history` of the row that it sees: uint32 (n_moments,), null where there is none.

    moments    AT and the keys; with a null in any of them it sees nothing
    history    AT, CREATED, ORDER and the keys; only CREATED may be null. Of the rows of one key the latest AT counts,
               then the latest CREATED, then the last ORDER
    ttl        a row is seen up to and including so many microseconds after its AT; None: for ever
    hide_late  a row is not seen before its CREATED either, and never without one

    Raises RuntimeError when the join has lost or doubled a moment.
    """
    moments = moments.with_row_index(_ROW)
    askable = moments.drop_nulls([AT, *keys]).rename({AT: _KNOWN}).sort(_KNOWN)
    found = askable.join_asof(
        _versions(history, keys, hide_late=hide_late),
        on=_KNOWN,
        by=list(keys) or None,
        check_sortedness=False,  # Both are sorted; Polars cannot check it within keys.
    )
    if len(found) != len(askable) or found[_ROW].n_unique() != len(askable):
        raise RuntimeError(
            f"join in time: {len(askable)} rows went in, {len(found)} came out, expected each once; please report it"
        )
    if ttl is not None:
        found = found.filter(pl.col(_KNOWN) - pl.col(AT) <= ttl)
    found = found.drop_nulls(_POSITION)
    rows = found[_ROW].to_numpy()
    positions, sees = np.zeros(len(moments), dtype=np.uint32), np.zeros(len(moments), dtype=np.bool_)
    positions[rows], sees[rows] = found[_POSITION].to_numpy(), True
    return pl.select(pl.when(pl.Series(sees)).then(pl.Series(positions))).to_series()


def latest(history: pl.DataFrame, keys: Sequence[str]) -> pl.Series:
    """The positions of the last row of each key, in the order of AT; a null is a key like any other.

    history    as for `latest_seen`
    """
    ordered = _ordered(history, keys)
    last = ordered.unique(keys, keep="last", maintain_order=True) if keys else ordered.tail(1)
    return last[_POSITION]


def _versions(history: pl.DataFrame, keys: Sequence[str], *, hide_late: bool) -> pl.DataFrame:
    """_POSITION, AT, the keys, and _KNOWN, which is sorted: of the rows known at a moment the last is the one seen."""
    versions = _ordered(history, keys)
    if not hide_late:
        return versions.select(_POSITION, AT, *keys, pl.col(AT).alias(_KNOWN))
    # Once known, a row hides every row before it, however late that one arrives.
    rank = pl.col(_RANK)
    hidden_below = rank.cum_max().over(keys) if keys else rank.cum_max()
    return (
        versions.drop_nulls(CREATED)
        .with_row_index(_RANK)
        .with_columns(pl.max_horizontal(AT, CREATED).alias(_KNOWN))
        .sort(_KNOWN, _RANK)
        .filter(rank == hidden_below)
        .select(_POSITION, AT, *keys, _KNOWN)
    )


def _ordered(history: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """_POSITION, AT, CREATED and the keys; the row that counts is the last of its key."""
    return history.select(AT, CREATED, ORDER, *keys).with_row_index(_POSITION).sort(AT, CREATED, ORDER)
