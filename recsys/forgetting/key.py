"""The key of a project by which users are recognised whose ids must not be written down.

Reads and writes  forgotten.key   made once, readable by its owner alone

A hash without a key says who it is of to whoever can guess ids, and most ids can be guessed. Keep the key as long as
the project, and copy it with the project: without it nobody can say whom forgotten.json and trained_users.npy speak of.
"""

import secrets
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recsys.durable import exclusively, write_private
from recsys.errors import DataError

KEY: Final = "forgotten.key"
LOCK: Final = ".forget.lock"
"""Held by who changes what the project knows of forgotten users, and by an import while it puts its tables in place."""

SECRET_BYTES: Final = 32
HASH_BYTES: Final = 16
SHORT_DIGITS: Final = 16
"""Of the 32 hexadecimal digits of a hash: two of a hundred million users share them once in 3,700 projects."""

Shorts = NDArray[np.uint64]


class UserKey:
    """Makes hashes of ids."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def of(cls, root: Path) -> "UserKey":
        """That of the project in a folder, made when there is none. Raises DataError for a file that is no key."""
        if not (root / KEY).exists():
            with exclusively(root / LOCK):
                # Again: another process may have made it in between.
                if not (root / KEY).exists():
                    write_private(root / KEY, secrets.token_bytes(SECRET_BYTES).hex().encode() + b"\n")
        return cls.existing(root)

    @classmethod
    def existing(cls, root: Path) -> "UserKey":
        """Raises DataError when the project has none."""
        path = root / KEY
        try:
            secret = bytes.fromhex(path.read_text(encoding="ascii"))
        except FileNotFoundError as error:
            raise DataError(
                f"{path}: the key is missing, without which forgotten users cannot be recognised; put it back"
            ) from error
        except ValueError as error:
            raise DataError(f"{path}: expected {2 * SECRET_BYTES} hexadecimal digits; put the key back") from error
        if len(secret) != SECRET_BYTES:
            raise DataError(f"{path}: found {len(secret)} bytes, expected {SECRET_BYTES}; put the key back")
        return cls(secret)

    @property
    def name(self) -> str:
        """What tells this key from others, and nothing of it."""
        return self._digest(b"name of the key")[:8]

    def hash(self, user_id: str) -> str:
        """32 hexadecimal digits."""
        return self._digest(b"user:" + user_id.encode("utf-8", "surrogatepass"))

    def shorts(self, user_ids: Iterable[str]) -> Shorts:
        """The beginnings of their hashes: uint64 (n,), sorted, each once."""
        found = (short_of(self.hash(user)) for user in user_ids)
        return np.unique(np.fromiter(found, dtype=np.uint64))

    def _digest(self, text: bytes) -> str:
        return blake2b(text, key=self._secret, digest_size=HASH_BYTES).hexdigest()


def short_of(user_hash: str) -> int:
    """The beginning of a hash."""
    return int(user_hash[:SHORT_DIGITS], 16)
