"""Vectors that were computed before: a SQLite file, keyed by the hash of the text under the encoder that read it."""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from recsys.errors import DataError

KEPT_ENCODERS: Final = 2
"""The champion's and that of the bundle before or after it; vectors of older ones are dropped."""
BUSY_TIMEOUT_S: Final = 60.0
KEYS_A_QUERY: Final = 500

_STORED_AS: Final = "<f4"
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS encoders (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, used_at REAL)",
    """CREATE TABLE IF NOT EXISTS vectors (encoder INTEGER NOT NULL, text BLOB NOT NULL, vector BLOB NOT NULL,
        PRIMARY KEY (encoder, text)) WITHOUT ROWID""",
)


def key_of_text(text: str) -> bytes:
    """What stands for a text in the cache."""
    return sha256(text.encode(errors="replace")).digest()


class VectorCache:
    """The vectors of one encoder. Several processes may use one file."""

    def __init__(self, connection: sqlite3.Connection, encoder: int) -> None:
        """Use `VectorCache.open`."""
        self._connection = connection
        self._encoder = encoder

    @classmethod
    @contextmanager
    def open(cls, path: Path, fingerprint: str) -> Iterator[Self]:
        """The cache in this file, which is made when it is not there. Vectors of encoders of long ago are dropped.

        Raises DataError when the file is something else or cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                # What a crash of the machine loses is computed again.
                connection.execute("PRAGMA synchronous = NORMAL")
                with connection:
                    encoder = _use(connection, fingerprint)
                yield cls(connection, encoder)
        except (sqlite3.Error, OSError) as error:
            raise DataError(f"{path}: {error}; expected a cache of vectors that can be written, or no file") from error

    def get(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, NDArray[np.float32]]]:
        """Those of the keys that are there, each with its vector (d,)."""
        for start in range(0, len(keys), KEYS_A_QUERY):
            part = keys[start : start + KEYS_A_QUERY]
            places = ",".join("?" * len(part))
            query = f"SELECT text, vector FROM vectors WHERE encoder = ? AND text IN ({places})"
            for key, vector in self._connection.execute(query, (self._encoder, *part)):
                yield key, np.frombuffer(vector, dtype=_STORED_AS)

    def put(self, vectors: Iterable[tuple[bytes, NDArray[np.float32]]]) -> None:
        """Add vectors in one transaction: a process that dies leaves all of them or none."""
        rows = [(self._encoder, key, vector.astype(_STORED_AS).tobytes()) for key, vector in vectors]
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)


def _use(connection: sqlite3.Connection, fingerprint: str) -> int:
    """The number of an encoder, now the one used last; drops all but the latest ones and their vectors."""
    for table in _TABLES:
        connection.execute(table)
    connection.execute(
        """INSERT INTO encoders (fingerprint, used_at) VALUES (?, ?)
            ON CONFLICT (fingerprint) DO UPDATE SET used_at = excluded.used_at""",
        (fingerprint, time.time()),
    )
    old = "SELECT id FROM encoders ORDER BY used_at DESC LIMIT -1 OFFSET ?"
    connection.execute(f"DELETE FROM vectors WHERE encoder IN ({old})", (KEPT_ENCODERS,))
    connection.execute(f"DELETE FROM encoders WHERE id IN ({old})", (KEPT_ENCODERS,))
    (encoder,) = connection.execute("SELECT id FROM encoders WHERE fingerprint = ?", (fingerprint,)).fetchone()
    return int(encoder)
