"""Files that are on the disk when a call returns, and work that one process at a time does. For POSIX systems."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_private(path: Path, content: bytes) -> None:
    """Put a file that only its owner may read in the place of the one that is there: readers see the old or the new.

    One process at a time: callers hold a lock.
    """
    partial = path.with_name(f".{path.name}.tmp")
    partial.unlink(missing_ok=True)
    # The mode from the first byte on: a file that is narrowed later can be opened before.
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    partial.replace(path)
    sync(path.parent)


def put(path: Path, content: bytes) -> None:
    """Put a file in the place of the one that is there, if any: readers see the old or the new, and so they do when the
    machine stops in between. One process at a time: callers hold a lock.
    """
    partial = path.with_name(f".{path.name}")
    partial.write_bytes(content)
    sync(partial)
    partial.replace(path)
    sync(path.parent)


@contextmanager
def exclusively(lock: Path) -> Iterator[None]:
    """Wait for the lock and hold it; the kernel lets go of it when the process dies."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
