import numpy as np
import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType

from features.feast_plugins.packed_keys import unique_keys

INT64, INT32, STRING = ValueType.INT64, ValueType.INT32, ValueType.STRING


@pytest.mark.parametrize(
    ("columns", "types"),
    [
        ({"id": ["b", "a", "b", "", "zoë"]}, {"id": STRING}),
        ({"id": [3, -(2**63), 2**63 - 1, 3]}, {"id": INT64}),
        ({"id": [3, 1, 3]}, {"id": INT32}),
        ({"id": [np.int64(3), np.int64(1), np.int64(3)]}, {"id": INT64}),
        ({"user": [1, 1, 2, 1], "item": ["a", "b", "a", "a"]}, {"user": INT64, "item": STRING}),
        ({"z": ["a", "ab"], "b": ["bc", "c"], "c": ["d", "d"]}, {"z": STRING, "b": STRING, "c": STRING}),
    ],
)
def test_keys_are_feasts_own_and_each_stands_once(columns, types):
    protos = {name: python_values_to_proto_values(values, types[name]) for name, values in columns.items()}
    expected = [
        serialize_entity_key(EntityKey(join_keys=list(protos), entity_values=row), entity_key_serialization_version=3)
        for row in zip(*protos.values(), strict=True)
    ]
    keys, index = unique_keys(columns, types)
    assert [keys[at] for at in index] == expected
    assert len(keys) == len(set(expected))


def test_a_key_that_is_null_is_refused():
    with pytest.raises(ValueError, match="not supported"):
        unique_keys({"id": ["a", None]}, {"id": STRING})
