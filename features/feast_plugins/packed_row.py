"""The features of one entity in one view as one binary row.

    event timestamp   8 bytes, big-endian microseconds since the epoch + 2**63: rows compare as their timestamps do
    scalars           float64, int64, timestamps (seconds), float32, int32, booleans; little-endian, grouped by kind
    known             a bit for each scalar, 0 where it is null
    ends              uint32 for each other feature (strings, bytes, arrays, ...): where its value ends in the rest
    rest              those values as Feast's protobuf, one after another; null is empty

A row is positional: `RowLayout.id` changes with the schema and belongs into the name under which rows are kept.
"""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import numpy as np
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type
from feast.types import FeastType
from feast.value_type import ValueType

FORMAT: Final = 1
"""Goes into every layout's id: rows of another format are never read."""

STAMP_BYTES: Final = 8
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
OFFSET: Final = 2**63

FIELD_OF: Final = {
    ValueType.DOUBLE: "double_val",
    ValueType.INT64: "int64_val",
    ValueType.UNIX_TIMESTAMP: "unix_timestamp_val",
    ValueType.FLOAT: "float_val",
    ValueType.INT32: "int32_val",
    ValueType.BOOL: "bool_val",
}
KIND_OF: Final = {
    "double_val": ("d", "<f8"),
    "int64_val": ("q", "<i8"),
    "unix_timestamp_val": ("q", "<i8"),
    "float_val": ("f", "<f4"),
    "int32_val": ("i", "<i4"),
    "bool_val": ("?", "?"),
}
"""The letter of `struct` and the type of numpy, in the order in which the kinds stand in a row."""


class RowLayout:
    """Where each feature of a view stands. The order in which the features were declared does not matter."""

    def __init__(self, project: str, view: str, features: Sequence[tuple[str, FeastType]]) -> None:
        self.view: Final = view
        self.types: Final = {name: dtype.to_value_type() for name, dtype in sorted(features, key=lambda each: each[0])}
        schema = "\n".join(
            [
                f"{FORMAT} {project} {view}",
                *(f"{name} {dtype}" for name, dtype in sorted(features, key=lambda each: each[0])),
            ]
        )
        self.id: Final = hashlib.sha256(schema.encode()).hexdigest()[:16]
        self.columns: Final = {
            field: [name for name, kind in self.types.items() if FIELD_OF.get(kind) == field] for field in KIND_OF
        }
        self.others: Final = [name for name, kind in self.types.items() if kind not in FIELD_OF]
        self._scalars = [(name, field) for field, names in self.columns.items() for name in names]
        self.place: Final = {
            name: (field, column) for field, names in self.columns.items() for column, name in enumerate(names)
        }
        known_bytes = (len(self._scalars) + 7) // 8
        letters = "".join(KIND_OF[field][0] for _, field in self._scalars)
        self._head = struct.Struct(f"<{STAMP_BYTES}s{letters}{known_bytes}s{len(self.others)}I")
        self.dtype: Final = np.dtype(
            [
                ("stamp", ">u8"),
                *((field, kind, (len(self.columns[field]),)) for field, (_, kind) in KIND_OF.items()),
                ("known", "u1", (known_bytes,)),
                ("ends", "<u4", (len(self.others),)),
            ]
        )
        assert self.dtype.itemsize == self._head.size
        self.missing: Final = self._pack(bytes(STAMP_BYTES), {}, [])

    def encode(self, values: Mapping[str, Value], event_timestamp: datetime) -> bytes:
        """The row of one entity. A naive timestamp is UTC.

        Raises ValueError when a feature of the view is not among the values, or is of another type than declared.
        """
        if missing := self.types.keys() - values.keys():
            raise ValueError(
                f"{self.view}: a row has no value for {sorted(missing)}; a packed row holds every feature of its view: "
                "write null for what is not known"
            )
        scalars = {}
        for name, field in self._scalars:
            found = values[name].WhichOneof("val")
            if found == field:
                scalars[name] = getattr(values[name], field)
            elif found not in (None, "null_val"):
                raise ValueError(f"{self.view}: {name} is {found}, expected {field} or null; convert it before writing")
        others = [
            b"" if values[name].WhichOneof("val") in (None, "null_val") else values[name].SerializeToString()
            for name in self.others
        ]
        return self._pack(stamp_of(event_timestamp), scalars, others)

    def _pack(self, stamp: bytes, scalars: Mapping[str, Any], others: Sequence[bytes]) -> bytes:
        known = sum(1 << at for at, (name, _) in enumerate(self._scalars) if name in scalars)
        # A null float is NaN in the row itself, so that a matrix needs no mask.
        nulls = {"f": np.nan, "d": np.nan}
        numbers = [scalars.get(name, nulls.get(KIND_OF[field][0], 0)) for name, field in self._scalars]
        ends = np.cumsum([len(value) for value in others] or [0] * len(self.others), dtype=np.int64).tolist()
        known_bytes = known.to_bytes((len(self._scalars) + 7) // 8, "little")
        return self._head.pack(stamp, *numbers, known_bytes, *ends) + b"".join(others)


@lru_cache(maxsize=1024)
def layout_of(project: str, view: str, features: tuple[tuple[str, FeastType], ...]) -> RowLayout:
    """The layout of a view, computed once: a request would otherwise hash the schema again."""
    return RowLayout(project, view, features)


def stamp_of(moment: datetime) -> bytes:
    """A moment as the first bytes of a row; naive is UTC."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (OFFSET + (aware - EPOCH) // timedelta(microseconds=1)).to_bytes(STAMP_BYTES, "big")


class PackedRows:
    """Rows of one view, decoded column by column when asked for.

    rows    the rows found, each once; None for an entity that is not there
    """

    def __init__(self, layout: RowLayout, rows: Sequence[bytes | None]) -> None:
        self.layout: Final = layout
        self.found: Final = np.array([row is not None for row in rows], dtype=np.bool_)
        self._rows = [layout.missing if row is None else row for row in rows]
        size = layout.dtype.itemsize
        heads = [row[:size] for row in self._rows] if layout.others else self._rows
        self.head: Final = np.frombuffer(b"".join(heads), dtype=layout.dtype)

    def known(self, name: str) -> np.ndarray:
        """Whether a scalar has a value: bool (n_rows,)."""
        field, column = self.layout.place[name]
        before = sum(len(names) for kind, names in self.layout.columns.items() if _ORDER[kind] < _ORDER[field])
        byte, bit = divmod(before + column, 8)
        known: np.ndarray = (self.head["known"][:, byte] >> bit) & 1 == 1
        return known

    def column(self, name: str) -> np.ndarray:
        """One feature (n_rows,): floats with NaN for null, datetime64[s] with NaT, integers and booleans as a masked
        array, anything else as the objects of Feast's `to_dict`, None for null.
        """
        if name not in self.layout.place:
            kind = self.layout.types[name]
            values = np.empty(len(self._rows), dtype=object)
            values[:] = [feast_value_type_to_python_type(value, kind) for value in self.values(name)]
            return values
        field, at = self.layout.place[name]
        column: np.ndarray = self.head[field][:, at]
        if field in ("float_val", "double_val"):
            return column
        known = self.known(name)
        if field == "unix_timestamp_val":
            return np.where(known, column.astype("datetime64[s]"), np.datetime64("NaT", "s"))
        return np.ma.MaskedArray(column, mask=~known)

    def values(self, name: str) -> list[Value]:
        """One feature as Feast's values, (n_rows,)."""
        if name in self.layout.place:
            field, at = self.layout.place[name]
            numbers = self.head[field][:, at].tolist()
            return [
                Value(**{field: number}) if known else Value()
                for number, known in zip(numbers, self.known(name).tolist(), strict=True)
            ]
        at = self.layout.others.index(name)
        ends = self.head["ends"][:, at].tolist()
        starts = self.head["ends"][:, at - 1].tolist() if at else [0] * len(ends)
        size = self.layout.dtype.itemsize
        spans = zip(self._rows, starts, ends, strict=True)
        return [Value.FromString(row[size + start : size + end]) for row, start, end in spans]

    def microseconds(self) -> list[int]:
        """The event timestamps, microseconds since the epoch; meaningless where nothing was found."""
        return [stamp - OFFSET for stamp in self.head["stamp"].tolist()]


_ORDER = {field: order for order, field in enumerate(KIND_OF)}
