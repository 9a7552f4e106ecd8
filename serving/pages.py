"""The token with which a client goes on from an answer: it says what was shown, so that no item comes twice.

Between two pages users act and items change, and the order changes with them; that something is at place 10 now says
nothing of what was there before. The token holds the shown items themselves. So any process can answer the next page,
and nothing has to be kept for it.
"""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

import msgspec

MAX_BYTES: Final = 1 << 20
"""Of a token when it is unpacked."""


class PageError(ValueError):
    """A token that no answer had."""


class Page(msgspec.Struct, frozen=True, array_like=True):
    """The answers up to now.

    request_id  of the first, which draws for all of them
    shown       their items, in order
    """

    request_id: str
    shown: tuple[str, ...]

    def token(self) -> str:
        """As in an answer."""
        return urlsafe_b64encode(zlib.compress(msgspec.json.encode(self))).decode().rstrip("=")

    @classmethod
    def of_token(cls, token: str) -> "Page":
        """Raises PageError."""
        try:
            packed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
            unpacker = zlib.decompressobj()
            text = unpacker.decompress(packed, MAX_BYTES)
            if not unpacker.eof:
                raise ValueError(f"more than {MAX_BYTES} bytes, or not all of it")
            found = msgspec.json.decode(text, type=cls)
            return cls(found.request_id, tuple(dict.fromkeys(found.shown)))
        except (ValueError, zlib.error, msgspec.DecodeError, RecursionError) as error:
            raise PageError("not a token of an answer; expected the next_page of one, unchanged") from error
