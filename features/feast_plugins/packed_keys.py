"""Entity keys of any type as bytes: strings and integers by features.packed.keys, others by Feast, slower."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType

from features.packed import keys

INT64_RANGE = range(-(2**63), 2**63)


def unique_keys(columns: Mapping[str, Sequence[Any]], types: Mapping[str, ValueType]) -> tuple[list[bytes], np.ndarray]:
    """Each entity once, and where it stands.

    columns   the values of each join key, (n,) each
    returns   the distinct keys, and the position of each of the n among them: int64 (n,)
    """
    if all(_is_plain(values, types.get(name)) for name, values in columns.items()):
        return keys.unique_keys(columns)
    return keys.distinct(_keys_of_any_type(columns, types))


def _is_plain(values: Sequence[Any], kind: ValueType | None) -> bool:
    found = set(map(type, values))
    if kind == ValueType.STRING:
        return found == {str}
    return kind == ValueType.INT64 and found == {int} and min(values) in INT64_RANGE and max(values) in INT64_RANGE


def _keys_of_any_type(columns: Mapping[str, Sequence[Any]], types: Mapping[str, ValueType]) -> list[bytes]:
    protos = {
        name: python_values_to_proto_values(list(values), types.get(name, ValueType.UNKNOWN))
        for name, values in columns.items()
    }
    rows = zip(*protos.values(), strict=True)
    found = [EntityKey(join_keys=list(protos), entity_values=row) for row in rows]
    return [serialize_entity_key(key, entity_key_serialization_version=3) for key in found]
