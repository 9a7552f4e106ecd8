import struct
from datetime import UTC, datetime

import numpy as np
import pytest
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp

from features.feast_plugins.packed_row import FeastRows, layout_of

FEATURES = (("b", Float32), ("a", Float32), ("n", Int64), ("title", String))
VALUES = {
    "a": Value(float_val=1.5),
    "b": Value(),
    "n": Value(int64_val=-3),
    "title": Value(string_val="cup"),
}
MOMENT = datetime(1970, 1, 1, 0, 0, 0, 5, tzinfo=UTC)


def test_a_row_is_stamp_numbers_known_bits_ends_and_the_rest():
    row = layout_of("p", "v", FEATURES).encode(VALUES, MOMENT)
    title = VALUES["title"].SerializeToString()
    # int64 before float32, a before b; n and a are known.
    expected = (2**63 + 5).to_bytes(8, "big") + struct.pack("<qff", -3, 1.5, np.nan) + b"\x03"
    assert row == expected + struct.pack("<I", len(title)) + title


def test_each_type_has_a_column_that_tells_null():
    features = (
        ("single", Float32),
        ("double", Float64),
        ("int32", Int32),
        ("int64", Int64),
        ("flag", Bool),
        ("moment", UnixTimestamp),
        ("words", Array(String)),
    )
    layout = layout_of("p", "v", features)
    values = {
        "single": Value(float_val=0.5),
        "double": Value(double_val=0.1),
        "int32": Value(int32_val=-1),
        "int64": Value(int64_val=2**63 - 1),
        "flag": Value(bool_val=False),
        "moment": Value(unix_timestamp_val=86400),
        "words": Value(),
    }
    rows = FeastRows(layout, [layout.encode(values, MOMENT), None])
    assert rows.found.tolist() == [True, False]
    assert rows.microseconds()[0] == 5
    for name, dtype, value in (("single", "<f4", 0.5), ("double", "<f8", 0.1)):
        assert rows.column(name).dtype == dtype
        np.testing.assert_array_equal(rows.column(name), np.array([value, np.nan], dtype=dtype))
    for name, dtype, value in (("int32", "<i4", -1), ("int64", "<i8", 2**63 - 1), ("flag", "?", False)):
        assert rows.column(name).dtype == dtype
        assert rows.column(name).tolist() == [value, None]
    assert rows.column("moment").tolist() == [datetime(1970, 1, 2), None]
    assert rows.column("words").tolist() == [None, None]


@pytest.mark.parametrize("n_features", [0, 1, 8, 9, 17])
def test_every_number_of_features_is_told_from_null(n_features):
    layout = layout_of("p", "v", tuple((f"f{at:02}", Int32) for at in range(n_features)))
    null = n_features // 2
    values = {name: Value() if at == null else Value(int32_val=at) for at, name in enumerate(layout.types)}
    rows = FeastRows(layout, [layout.encode(values, MOMENT)])
    assert [rows.values(name)[0] for name in layout.types] == list(values.values())
