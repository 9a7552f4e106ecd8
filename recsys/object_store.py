"""The objects under a URL that fsspec knows: s3://bucket/folder, gs://bucket/folder, file:///folder, memory://folder.

Nothing that is read is cached. An object is there whole or not at all, of which `create` makes one that nobody else
has made: on S3, Google Cloud Storage and Azure by a condition that the store itself checks, in a folder by a link.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from recsys.durable import sync
from recsys.errors import ConfigError, StoreError

EXTRAS: Final = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
"""Which extra of recsys has what a scheme needs."""


class ObjectStore:
    """Names are relative to the URL, with / between their parts."""

    def __init__(self, url: str) -> None:
        """Asks nothing of the store yet. Raises ConfigError when fsspec does not know such a URL."""
        import fsspec  # a project without a store does not wait for it

        self.url: Final = url.rstrip("/")
        try:
            found = fsspec.core.url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            extra = EXTRAS.get(url.partition(":")[0])
            what = f"install recsys[{extra}]" if extra else "expected s3://, gs://, file:/// or another URL of fsspec"
            raise ConfigError(f"[bundles] url = {url!r}: {error}; {what}") from error
        self._fs: Any = found[0]
        self._root: Final = str(found[1]).rstrip("/")
        self._folder: Final = Path(self._root) if "file" in self._protocols() else None
        """Of a store that is a folder."""

    def read(self, name: str) -> bytes | None:
        """None when there is no such object. Raises StoreError, as all that follows does."""
        with self._asking(name):
            try:
                # With a start s3fs asks once; without one it looks first how large the object is.
                content: bytes = self._fs.cat_file(self._path(name), start=0)
            except FileNotFoundError:
                return None
            return content

    def create(self, name: str, content: bytes) -> bool:
        """Make an object unless it is there; whether it was made. Of several at once, one makes it."""
        with self._asking(name):
            if self._folder is not None:
                return _link(self._folder / name, partial(Path.write_bytes, data=content))
            try:
                self._fs.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                return False
            return True

    def upload(self, path: Path, name: str) -> None:
        """Make or replace an object by a file."""
        with self._asking(name):
            if self._folder is None:
                self._fs.put_file(str(path), self._path(name))
            else:
                _replace(self._folder / name, partial(shutil.copyfile, path))

    def download(self, name: str, path: Path) -> None:
        """Into a file that is not there yet."""
        with self._asking(name):
            self._fs.get_file(self._path(name), str(path))

    def names(self, folder: str) -> list[str]:
        """What lies directly in a folder, in order."""
        with self._asking(folder):
            try:
                paths = self._fs.ls(self._path(folder), detail=False)
            except FileNotFoundError:
                return []
        found = {str(path).rstrip("/").rpartition("/")[2] for path in paths}
        return sorted(name for name in found if not name.startswith("."))

    def changed_at(self, folder: str) -> datetime | None:
        """When the newest object in a folder was written; None of an empty one."""
        with self._asking(folder):
            moments: list[datetime] = [self._fs.modified(path) for path in self._fs.find(self._path(folder))]
        return max(moments, default=None)

    def delete(self, name: str) -> None:
        """An object, or a folder with all that is in it; nothing when there is none."""
        with self._asking(name):
            try:
                self._fs.rm(self._path(name), recursive=True)
            except FileNotFoundError:
                return

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _protocols(self) -> tuple[str, ...]:
        protocol = self._fs.protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)

    @contextmanager
    def _asking(self, name: str) -> Iterator[None]:
        try:
            # One that is not mounted at the moment is not an empty store.
            if self._folder is not None and not self._folder.is_dir():
                raise FileNotFoundError(f"there is no folder {self._folder}; make it once, or mount it")
            yield
        except Exception as error:  # each store has classes of its own for what can go wrong
            raise StoreError(
                f"{self.url}/{name}: {type(error).__name__}: {error}; expected an object store that answers and lets "
                "this machine in, see docs/bundles.md"
            ) from error


def _link(path: Path, write: Callable[[Path], object]) -> bool:
    beside = _written_beside(path, write)
    try:
        # Unlike a renaming, it fails when another one was first.
        os.link(beside, path)
    except FileExistsError:
        return False
    finally:
        beside.unlink()
    sync(path.parent)
    return True


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    _written_beside(path, write).replace(path)
    sync(path.parent)


def _written_beside(path: Path, write: Callable[[Path], object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid4().hex}")
    write(beside)
    sync(beside)
    return beside
