from datetime import UTC, datetime

import numpy as np
import pytest
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Bool, Float32, Float64, Int64, String
from feast.value_type import ValueType

from features.feast_plugins.packed_response import PackedOnlineResponse
from features.feast_plugins.packed_row import FeastRows, layout_of
from features.packed.answer import ViewRows

NOW = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def answer():
    """Items b, a, x: a is known wholly, b without its count, x not at all. One user stands beside each."""
    items = layout_of("p", "items", (("price", Float32), ("exact", Float64), ("count", Int64), ("title", String)))
    known = {"price": Value(float_val=1), "exact": Value(double_val=0.1), "count": Value(int64_val=2**53 + 1)}
    a = items.encode({**known, "title": Value(string_val="cup")}, NOW)
    b = items.encode({**known, "price": Value(float_val=2), "count": Value(), "title": Value()}, NOW)
    users = layout_of("p", "users", (("loyal", Bool), ("price", Float32), ("age", Float32)))
    values = {"loyal": Value(bool_val=True), "price": Value(float_val=9), "age": Value(float_val=40)}
    user = users.encode(values, NOW)
    return PackedOnlineResponse(
        {"item_id": ["b", "a", "x"], "user_id": [5, 5, 5]},
        {"item_id": ValueType.STRING, "user_id": ValueType.INT64},
        [
            ViewRows({name: name for name in items.types}, FeastRows(items, [a, b, None]), np.array([1, 0, 2])),
            ViewRows(
                {"users__price": "price", "loyal": "loyal", "age": "age"},
                FeastRows(users, [user]),
                np.array([0, 0, 0]),
            ),
        ],
    )


def test_a_matrix_has_its_columns_in_the_order_asked_for(answer):
    nan = np.nan
    matrix = answer.matrix(["loyal", "price", "users__price", "count", "age"])
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, [[1, 2, 9, nan, 40], [1, 1, 9, 2**53, 40], [1, nan, 9, nan, 40]])
    np.testing.assert_array_equal(answer.matrix(["exact"], dtype=np.float64), [[0.1], [0.1], [nan]])
    assert answer.matrix([]).shape == (3, 0)


def test_a_column_has_the_rows_in_the_order_asked_for(answer):
    assert answer.column("age").tolist() == [40, 40, 40]
    assert answer.column("users__price").tolist() == [9, 9, 9]
    assert answer.column("title").tolist() == [None, "cup", None]
    assert answer.column("count").tolist() == [None, 2**53 + 1, None]
    assert answer.column("item_id").tolist() == ["b", "a", "x"]
    assert answer.found("count").tolist() == [True, True, False]
    assert answer.found("loyal").tolist() == [True, True, True]


def test_feasts_protobuf_is_made_when_asked_for(answer):
    assert "proto" not in vars(answer)
    assert answer.to_dict() == {
        "item_id": ["b", "a", "x"],
        "user_id": [5, 5, 5],
        "count": [None, 2**53 + 1, None],
        "exact": [0.1, 0.1, None],
        "price": [2.0, 1.0, None],
        "title": [None, "cup", None],
        "users__price": [9.0, 9.0, 9.0],
        "loyal": [True, True, True],
        "age": [40.0, 40.0, 40.0],
    }
    assert answer.to_df().shape == (3, 9)
    assert answer.proto is answer.proto


def test_a_name_that_was_not_asked_for_and_a_text_in_a_matrix_are_refused(answer):
    with pytest.raises(KeyError, match=r"'prise' is not in this answer, expected one of \['age', 'count'"):
        answer.column("prise")
    with pytest.raises(KeyError, match="'item_id' is not in"):
        answer.matrix(["item_id"])
    with pytest.raises(TypeError, match=r"title is String, expected a number; use column\('title'\)"):
        answer.matrix(["price", "title"])
