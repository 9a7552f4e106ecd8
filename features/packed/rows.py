"""Packed rows, decoded column by column."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from features.packed.layout import OFFSET, RowLayout
from features.packed.values import decoder_of


class PackedRows:
    """Rows of one view, decoded when asked for.

    rows    the rows found, each once; None for an entity that is not there
    """

    def __init__(self, layout: RowLayout, rows: Sequence[bytes | None]) -> None:
        self.layout = layout
        self.found: Final = np.array([row is not None for row in rows], dtype=np.bool_)
        self._rows = [layout.missing if row is None else row for row in rows]
        size = layout.dtype.itemsize
        heads = [row[:size] for row in self._rows] if layout.others else self._rows
        self.head: Final = np.frombuffer(b"".join(heads), dtype=layout.dtype)

    def known(self, name: str) -> np.ndarray:
        """Whether a scalar has a value: bool (n_rows,)."""
        byte, bit = divmod(self.layout.bit[name], 8)
        known: np.ndarray = (self.head["known"][:, byte] >> bit) & 1 == 1
        return known

    def column(self, name: str) -> np.ndarray:
        """One feature (n_rows,): floats with NaN for null, datetime64[s] with NaT, integers and booleans as a masked
        array, anything else as objects, None for null.
        """
        if name not in self.layout.place:
            values = np.empty(len(self._rows), dtype=object)
            values[:] = self.objects(name)
            return values
        field, at = self.layout.place[name]
        column: np.ndarray = self.head[field][:, at]
        if field in ("float_val", "double_val"):
            return column
        known = self.known(name)
        if field == "unix_timestamp_val":
            return np.where(known, column.astype("datetime64[s]"), np.datetime64("NaT", "s"))
        return np.ma.MaskedArray(column, mask=~known)

    def objects(self, name: str) -> list[Any]:
        """A feature that is no scalar, of each row; None for null. Raises KeyError for a type that only Feast reads."""
        decode = decoder_of(self.layout.types[name])
        return [decode(value) if value else None for value in self.serialised(name)]

    def serialised(self, name: str) -> list[bytes]:
        """The same as it stands in the rows: Feast's protobuf, empty for null."""
        at = self.layout.others.index(name)
        ends = self.head["ends"][:, at].tolist()
        starts = self.head["ends"][:, at - 1].tolist() if at else [0] * len(ends)
        size = self.layout.dtype.itemsize
        spans = zip(self._rows, starts, ends, strict=True)
        return [row[size + start : size + end] for row, start, end in spans]

    def microseconds(self) -> list[int]:
        """The event timestamps, microseconds since the epoch; meaningless where nothing was found."""
        return [stamp - OFFSET for stamp in self.head["stamp"].tolist()]
