"""The file of a project's API keys: changed by `recsys keys`, followed by running servers without a restart.

Reads and writes  keys.json beside recsys.toml: hashes, never a key (serving.keys); mode 0600
"""

import logging
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from recsys.durable import exclusively, write_private
from recsys.errors import DataError
from serving.keys import StoredKey

FORMAT_VERSION: Final = 1
LOOK_EVERY_S: Final = 1.0
"""So long at most a server goes on with keys that were changed."""

Keys = tuple[StoredKey, ...]
FileState = tuple[int, int, int, int]
_LOG: Final = logging.getLogger(__name__)


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    keys: Keys


class KeysFile:
    """The keys in a file; where there is none, no keys."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Keys:
        """All keys, in the order in which they were made. Raises DataError when the file cannot be used."""
        try:
            mode = self.path.stat().st_mode
            content = self.path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise DataError(f"{self.path}: {error.strerror}; the server must be able to read its keys") from error
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise DataError(
                f"{self.path}: the mode is {stat.S_IMODE(mode):04o}, others may write keys of their own into it; "
                f"look at what it holds, then chmod 600 {self.path}"
            )
        try:
            document = msgspec.json.decode(content, type=_Document)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{self.path}: {error}; expected what `recsys keys` writes, restore it") from error
        if document.format != FORMAT_VERSION:
            raise DataError(
                f"{self.path}: the format is {document.format}, this recsys reads {FORMAT_VERSION}; update recsys"
            )
        return document.keys

    def change(self, edit: Callable[[Keys], Iterable[StoredKey]]) -> None:
        """Put what `edit` makes of the keys in their place, on the disk when this returns; one process at a time."""
        with exclusively(self.path.with_name(f".{self.path.name}.lock")):
            document = _Document(FORMAT_VERSION, tuple(edit(self.read())))
            write_private(self.path, msgspec.json.format(msgspec.json.encode(document)) + b"\n")

    def state(self) -> FileState | None:
        """Equal as long as the file is the same; None when there is none."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode


class LiveKeys:
    """The keys as a running server knows them; for one thread."""

    def __init__(self, file: KeysFile, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises DataError when the file cannot be used."""
        self.path = file.path
        self._file, self._clock = file, clock
        self._looked_at, self._state = clock(), file.state()
        self._keys = {key.key_id: key for key in file.read()}

    def __len__(self) -> int:
        """How many there are, also of those that are not valid any more."""
        return len(self._keys)

    def ids(self) -> set[str]:
        return set(self._keys)

    def get(self, key_id: str) -> StoredKey | None:
        return self._keys.get(key_id)

    def follow(self) -> None:
        """Look at the file if that was not done in the last second. One that cannot be used changes nothing."""
        now = self._clock()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        try:
            # First: what is written meanwhile is a change.
            state = self._file.state()
            if state == self._state:
                return
            self._state = state
            self._keys = {key.key_id: key for key in self._file.read()}
        except (DataError, OSError) as error:
            _LOG.error("the API keys cannot be read: %s; those before stay in force", error)
            return
        _LOG.warning("%s has changed: it has %d keys now", self.path, len(self._keys))
