"""Strings and lists out of Feast's protobuf message `Value`, without protobuf and without Feast.

https://protobuf.dev/programming-guides/encoding: a field is a varint, its number and how it is written, and then, of
the fields read here, a varint with a length and so many bytes.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

_STRING: Final = 2 << 3 | 2
_STRING_LIST: Final = 12 << 3 | 2
_DOUBLE_LIST: Final = 15 << 3 | 2
_ELEMENT: Final = 1 << 3 | 2
"""What stands before an element of a list, and before all of its numbers together."""


def decoder_of(kind: str) -> Callable[[bytes], Any]:
    """What reads a value of this type: a string, or a list of strings or floats. Raises KeyError for any other type."""
    return _DECODERS[kind]


def _string(value: bytes) -> str:
    return _content(value, _STRING).decode()


def _strings(value: bytes) -> list[str]:
    content = _content(value, _STRING_LIST)
    found, at = [], 0
    while at < len(content):
        length, at = _varint(content, _behind(content, at, _ELEMENT))
        found.append(content[at : at + length].decode())
        at += length
    return found


def _floats(value: bytes) -> list[float]:
    content = _content(value, _DOUBLE_LIST)
    if not content:
        return []
    length, at = _varint(content, _behind(content, 0, _ELEMENT))
    numbers: list[float] = np.frombuffer(content, dtype="<f8", offset=at, count=length // 8).tolist()
    return numbers


def _content(value: bytes, tag: int) -> bytes:
    """Of the only field that a Value has."""
    length, at = _varint(value, _behind(value, 0, tag))
    return value[at : at + length]


def _behind(content: bytes, at: int, tag: int) -> int:
    if content[at] != tag:
        raise ValueError(f"a value of the online store has the tag {content[at]}, expected {tag}; fill the store anew")
    return at + 1


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """The number that begins there, seven bits a byte from the lowest, and where it ends."""
    number = shift = 0
    while True:
        byte = content[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return number, at
        shift += 7


_DECODERS: Final[dict[str, Callable[[bytes], Any]]] = {
    "String": _string,
    "Array(String)": _strings,
    "Array(Float64)": _floats,
}
