"""Entity keys as bytes: what Feast's serialize_entity_key (version 3) gives of strings and integers, many at a time."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

STRING: Final = 2
INT64: Final = 4
"""The numbers that Feast gives to these types."""


def unique_keys(columns: Mapping[str, Sequence[Any]]) -> tuple[list[bytes], np.ndarray]:
    """Each entity once, and where it stands.

    columns   the values of each join key, (n,) each: strings alone, or integers of 64 bits alone
    returns   the distinct keys, and the position of each of the n among them: int64 (n,)
    """
    names = sorted(columns)
    # Values are told apart before they are encoded: one user usually stands beside every candidate.
    head = struct.pack("<I", len(names)) + b"".join(
        struct.pack("<II", STRING, len(name.encode())) + name.encode() for name in names
    )
    if len(names) == 1:
        values, index = distinct(columns[names[0]])
        return _value_bytes(values, head), index
    rows, index = distinct(list(zip(*(columns[name] for name in names), strict=True)))
    first, *others = zip(*rows, strict=True)
    parts = [_value_bytes(first, head), *(_value_bytes(values, b"") for values in others)]
    return list(map(b"".join, zip(*parts, strict=True))), index


def plain_keys(name: str, values: Sequence[str]) -> list[bytes]:
    """The keys of entities with one join key, which is a string; none of no values."""
    return unique_keys({name: values})[0] if values else []


def value_of(key: bytes, name: str) -> str | None:
    """The reverse: the value in a key; None for one of another join key, of several, or of no string."""
    head = struct.pack("<III", 1, STRING, len(name.encode())) + name.encode() + struct.pack("<I", STRING)
    # Behind the kind stands the length of the value.
    return key[len(head) + 4 :].decode() if key.startswith(head) else None


def distinct(values: Sequence[Any]) -> tuple[list[Any], np.ndarray]:
    """Each value once, and where each of them all stands: int64 (n,)."""
    position = {value: at for at, value in enumerate(dict.fromkeys(values))}
    return list(position), np.fromiter(map(position.__getitem__, values), dtype=np.int64, count=len(values))


def _value_bytes(values: Sequence[Any], head: bytes) -> list[bytes]:
    """The head and each value, all of them strings or all of them integers."""
    if isinstance(values[0], int):
        before = head + struct.pack("<II", INT64, 8)
        numbers = np.array(values, dtype="<i8").tobytes()
        return [before + numbers[at : at + 8] for at in range(0, len(numbers), 8)]
    encoded = [value.encode() for value in values]
    lengths = {length: head + struct.pack("<II", STRING, length) for length in set(map(len, encoded))}
    return [lengths[len(value)] + value for value in encoded]
