"""The fields of a protobuf message where they lie, without protobuf and without copying them.

https://protobuf.dev/programming-guides/encoding: a field is a varint, its number and how it is written, and then the
value: a varint, four or eight bytes, or a varint with a length and so many bytes.
"""

import mmap
from collections.abc import Iterator
from typing import Final, NamedTuple

_VARINT: Final = 0
_EIGHT_BYTES: Final = 1
_LENGTH_DELIMITED: Final = 2
_FOUR_BYTES: Final = 5

Content = bytes | mmap.mmap


class Part(NamedTuple):
    """A field: the bytes from start to end, or the number at start when it is a varint."""

    number: int
    start: int
    end: int


def parts(content: Content, start: int = 0, end: int | None = None) -> Iterator[Part]:
    """The fields of the message between start and end, in their order. Raises ValueError when it is none."""
    at, last = start, len(content) if end is None else end
    while at < last:
        tag, at = varint(content, at)
        kind, begin = tag & 7, at
        if kind == _VARINT:
            _, at = varint(content, at)
        elif kind == _LENGTH_DELIMITED:
            length, begin = varint(content, at)
            at = begin + length
        elif kind in (_FOUR_BYTES, _EIGHT_BYTES):
            at += 4 if kind == _FOUR_BYTES else 8
        else:
            raise ValueError(f"no protobuf message: found a field of the kind {kind} at byte {begin}")
        if at > last:
            raise ValueError(
                f"no protobuf message: the field at byte {begin} ends at {at}, behind the last byte {last}"
            )
        yield Part(tag >> 3, begin, at)


def varint(content: Content, at: int) -> tuple[int, int]:
    """The number that begins there, seven bits a byte from the lowest, and where it ends."""
    number = shift = 0
    while True:
        byte = content[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return number, at
        shift += 7
