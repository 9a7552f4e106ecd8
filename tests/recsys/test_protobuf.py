import pytest

from recsys.protobuf import Part, parts, varint


def test_the_fields_of_a_message_lie_where_they_were_written():
    # Field 1: the number 150. Field 2: three bytes. Field 3: four bytes. Field 4: eight bytes.
    content = b"\x08\x96\x01" + b"\x12\x03abc" + b"\x1d1234" + b"\x2112345678"
    assert list(parts(content)) == [Part(1, 1, 3), Part(2, 5, 8), Part(3, 9, 13), Part(4, 14, 22)]
    assert varint(content, 1) == (150, 3)
    assert list(parts(content, 3, 8)) == [Part(2, 5, 8)]


def test_what_is_no_message_is_refused():
    with pytest.raises(ValueError, match="ends at 7, behind the last byte 4"):
        list(parts(b"\x12\x05ab"))
    with pytest.raises(ValueError, match="of the kind 7"):
        list(parts(b"\x0fab"))
