"""What is read without Feast is what Feast reads."""

import pytest
from feast.protos.feast.types.Value_pb2 import DoubleList, StringList, Value
from hypothesis import given
from hypothesis import strategies as st

from features.packed.values import decoder_of

LONG = "x" * 300


@given(st.text() | st.just(LONG))
def test_a_string_is_read_as_it_was_written(text):
    assert decoder_of("String")(Value(string_val=text).SerializeToString()) == text


@given(st.lists(st.text() | st.just(LONG)))
def test_a_list_of_strings_is_read_as_it_was_written(texts):
    value = Value(string_list_val=StringList(val=texts))
    assert decoder_of("Array(String)")(value.SerializeToString()) == texts


@given(st.lists(st.floats(allow_nan=False), max_size=60))
def test_a_list_of_floats_is_read_as_it_was_written(numbers):
    value = Value(double_list_val=DoubleList(val=numbers))
    assert decoder_of("Array(Float64)")(value.SerializeToString()) == numbers


def test_a_value_of_another_type_is_refused():
    with pytest.raises(ValueError, match="has the tag 18, expected 98; fill the store anew"):
        decoder_of("Array(String)")(Value(string_val="a").SerializeToString())
    with pytest.raises(KeyError):
        decoder_of("Map")
