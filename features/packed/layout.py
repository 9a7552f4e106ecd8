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
from typing import Any, Final

import numpy as np

FORMAT: Final = 1
"""Goes into every layout's id: rows of another format are never read."""

STAMP_BYTES: Final = 8
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
OFFSET: Final = 2**63

FIELD_OF: Final = {
    "Float64": "double_val",
    "Int64": "int64_val",
    "UnixTimestamp": "unix_timestamp_val",
    "Float32": "float_val",
    "Int32": "int32_val",
    "Bool": "bool_val",
}
"""The types of scalars, as Feast calls them, and where its message Value has one."""

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

    def __init__(self, project: str, view: str, features: Sequence[tuple[str, str]]) -> None:
        """`features`: the name and the type of each, as Feast writes it, such as Float32 or Array(String)."""
        self.project: Final = project
        self.view: Final = view
        self.types: Final = dict(sorted(features))
        schema = "\n".join([f"{FORMAT} {project} {view}", *(f"{name} {kind}" for name, kind in self.types.items())])
        self.id: Final = hashlib.sha256(schema.encode()).hexdigest()[:16]
        self.columns: Final = {
            field: [name for name, kind in self.types.items() if FIELD_OF.get(kind) == field] for field in KIND_OF
        }
        self.others: Final = [name for name, kind in self.types.items() if kind not in FIELD_OF]
        self.scalars: Final = [(name, field) for field, names in self.columns.items() for name in names]
        self.place: Final = {
            name: (field, column) for field, names in self.columns.items() for column, name in enumerate(names)
        }
        self.bit: Final = {name: at for at, (name, _) in enumerate(self.scalars)}
        """Of a scalar among those that say what is known."""
        known_bytes = (len(self.scalars) + 7) // 8
        letters = "".join(KIND_OF[field][0] for _, field in self.scalars)
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
        self.missing: Final = self.pack(bytes(STAMP_BYTES), {}, [b""] * len(self.others))

    def pack(self, stamp: bytes, scalars: Mapping[str, Any], others: Sequence[bytes]) -> bytes:
        """A row of the scalars that are known, and of every value in `others`, empty where it is null."""
        known = sum(1 << at for name, at in self.bit.items() if name in scalars)
        # A null float is NaN in the row itself, so that a matrix needs no mask.
        nulls = {"f": np.nan, "d": np.nan}
        numbers = [scalars.get(name, nulls.get(KIND_OF[field][0], 0)) for name, field in self.scalars]
        ends = np.cumsum([len(value) for value in others], dtype=np.int64).tolist()
        known_bytes = known.to_bytes((len(self.scalars) + 7) // 8, "little")
        return self._head.pack(stamp, *numbers, known_bytes, *ends) + b"".join(others)


def stamp_of(moment: datetime) -> bytes:
    """A moment as the first bytes of a row; naive is UTC."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (OFFSET + (aware - EPOCH) // timedelta(microseconds=1)).to_bytes(STAMP_BYTES, "big")
