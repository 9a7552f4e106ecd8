"""Entity keys as bytes: what Feast's serialize_entity_key (version 3) gives, many at a time."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import ValueType as Kind
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType

INT64_RANGE = range(-(2**63), 2**63)


def unique_keys(columns: Mapping[str, Sequence[Any]], types: Mapping[str, ValueType]) -> tuple[list[bytes], np.ndarray]:
    """Each entity once, and where it stands.

    columns   the values of each join key, (n,) each
    returns   the distinct keys, and the position of each of the n among them: int64 (n,)
    """
    names = sorted(columns)
    if not all(_is_plain(columns[name], types.get(name)) for name in names):
        return _distinct(_keys_of_any_type(columns, types))
    # Values are told apart before they are encoded: one user usually stands beside every candidate.
    head = struct.pack("<I", len(names)) + b"".join(
        struct.pack("<II", Kind.STRING, len(name.encode())) + name.encode() for name in names
    )
    if len(names) == 1:
        values, index = _distinct(list(columns[names[0]]))
        return _value_bytes(values, head), index
    rows, index = _distinct(list(zip(*(columns[name] for name in names), strict=True)))
    first, *others = zip(*rows, strict=True)
    parts = [_value_bytes(first, head), *(_value_bytes(values, b"") for values in others)]
    return list(map(b"".join, zip(*parts, strict=True))), index


def plain_keys(name: str, values: Sequence[str]) -> list[bytes]:
    """The keys of entities with one join key, which is a string."""
    return unique_keys({name: values}, {name: ValueType.STRING})[0] if values else []


def value_of(key: bytes, name: str) -> str | None:
    """The reverse: the value in a key; None for one of another join key, of several, or of no string."""
    head = struct.pack("<III", 1, Kind.STRING, len(name.encode())) + name.encode() + struct.pack("<I", Kind.STRING)
    # Behind the kind stands the length of the value.
    return key[len(head) + 4 :].decode() if key.startswith(head) else None


def _is_plain(values: Sequence[Any], kind: ValueType | None) -> bool:
    found = set(map(type, values))
    if kind == ValueType.STRING:
        return found == {str}
    return kind == ValueType.INT64 and found == {int} and min(values) in INT64_RANGE and max(values) in INT64_RANGE


def _value_bytes(values: Sequence[Any], head: bytes) -> list[bytes]:
    """The head and each value, all of them strings or all of them integers."""
    if isinstance(values[0], int):
        before = head + struct.pack("<II", Kind.INT64, 8)
        numbers = np.array(values, dtype="<i8").tobytes()
        return [before + numbers[at : at + 8] for at in range(0, len(numbers), 8)]
    encoded = [value.encode() for value in values]
    lengths = {length: head + struct.pack("<II", Kind.STRING, length) for length in set(map(len, encoded))}
    return [lengths[len(value)] + value for value in encoded]


def _keys_of_any_type(columns: Mapping[str, Sequence[Any]], types: Mapping[str, ValueType]) -> list[bytes]:
    protos = {
        name: python_values_to_proto_values(list(values), types.get(name, ValueType.UNKNOWN))
        for name, values in columns.items()
    }
    rows = zip(*protos.values(), strict=True)
    keys = [EntityKey(join_keys=list(protos), entity_values=row) for row in rows]
    return [serialize_entity_key(key, entity_key_serialization_version=3) for key in keys]


def _distinct(values: list[Any]) -> tuple[list[Any], np.ndarray]:
    position = {value: at for at, value in enumerate(dict.fromkeys(values))}
    return list(position), np.fromiter(map(position.__getitem__, values), dtype=np.int64, count=len(values))
