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
    rows, index = _distinct(list(zip(*(columns[name] for name in names), strict=True)))
    head = struct.pack("<I", len(names)) + b"".join(
        struct.pack("<II", Kind.STRING, len(name.encode())) + name.encode() for name in names
    )
    return [head + b"".join(map(_value_bytes, row)) for row in rows], index


def _is_plain(values: Sequence[Any], kind: ValueType | None) -> bool:
    found = set(map(type, values))
    if kind == ValueType.STRING:
        return found == {str}
    return kind == ValueType.INT64 and found == {int} and min(values) in INT64_RANGE and max(values) in INT64_RANGE


def _value_bytes(value: str | int) -> bytes:
    if isinstance(value, int):
        return struct.pack("<IIq", Kind.INT64, 8, value)
    encoded = value.encode()
    return struct.pack("<II", Kind.STRING, len(encoded)) + encoded


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
