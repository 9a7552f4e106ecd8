"""Model bundles in an object store, which machines share: each has those that it needs in a folder of its own.

bundles/BUNDLE_ID/        the files of a bundle, manifest.json and, last of all, manifest.sha256: without it a bundle is
                          not there
decisions/BUNDLE_ID.json  what the gate said of it
champions/NUMBER.json     the champions, newest first. The highest number counts, the next one is for who promotes next:
                          an object is made only if nobody has made it, so that of two who promote at once one has to
                          look again

A process that dies on the way leaves the old champion, and at most a bundle that is not there, which the next upload of
it completes and `prune` deletes after a day.
"""

import shutil
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import msgspec

from recsys.bundle import (
    MANIFEST,
    MANIFEST_HASH,
    PUBLISHING,
    Manifest,
    checked_id,
    decision_path,
    decode_manifest,
    read_manifest,
    sha256_of,
)
from recsys.champions import Champion, encoded
from recsys.durable import exclusively, put, sync
from recsys.errors import BundleError, StoreError
from recsys.object_store import ObjectStore

BUNDLES: Final = "bundles"
DECISIONS: Final = "decisions"
CHAMPIONS: Final = "champions"
KEPT_CHAMPIONS: Final = 100
"""Objects: who knows the champions by an older one lists them again (serving.bundle_mirror)."""
HALF_AFTER: Final = timedelta(days=1)
"""What was not completed for so long is not being uploaded."""
_FETCHING: Final = ".fetching-"


class Promoted(NamedTuple):
    """The champions, newest first, and the number of the object that says so; 0: none was promoted."""

    number: int
    champions: tuple[Champion, ...]

    @property
    def champion(self) -> str | None:
        return self.champions[0].bundle_id if self.champions else None

    @property
    def before(self) -> str | None:
        """What a rollback goes back to."""
        return next((each.bundle_id for each in self.champions if each.bundle_id != self.champion), None)


NOBODY: Final = Promoted(0, ())


class RemoteShelf:
    """Every method asks the store. Raises StoreError when it does not answer."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.url: Final = store.url

    def promoted(self, known: Promoted = NOBODY) -> Promoted:
        """The champions now. known: what was found before; if that is still so it costs one small request.

        Raises BundleError for an object that cannot be read.
        """
        if known.number == 0:
            numbers = self._numbers()
            return self._promoted(numbers[-1]) or NOBODY if numbers else NOBODY
        while (newer := self._promoted(known.number + 1)) is not None:
            known = newer
        return known

    def commit(self, known: Promoted, champions: Sequence[Champion]) -> bool:
        """Make these the champions, if `known` are so now; whether they were."""
        return self._store.create(_name_of(known.number + 1), encoded(champions))

    def manifests(self) -> dict[str, Manifest | None]:
        """Of every bundle that is there whole, by its id; None where it cannot be read."""
        found: dict[str, Manifest | None] = {}
        for name in self._store.names(BUNDLES):
            try:
                manifest = self.manifest(name)
            except StoreError:
                raise
            except BundleError:
                found[name] = None
            else:
                found |= {} if manifest is None else {name: manifest}
        return found

    def manifest(self, bundle_id: str) -> Manifest | None:
        """None when there is no such bundle. Raises BundleError when it cannot be read."""
        read = self._documents(bundle_id)
        return None if read is None else read[0]

    def upload(self, folder: Path) -> None:
        """Bring a published bundle, unless it is there. Raises BundleError for another one of the same name."""
        name, sealed = folder.name, (folder / MANIFEST_HASH).read_bytes()
        there = self._store.read(_file(name, MANIFEST_HASH))
        if there is None:
            # In this order: the last one says that all others are there.
            for file in (*read_manifest(folder).files, MANIFEST, MANIFEST_HASH):
                self._store.upload(folder / file, _file(name, file))
        elif there != sealed:
            raise BundleError(
                f"{folder}: {self.url} has another bundle of this name; move this folder away, and promote that one"
            )

    def fetch(self, bundle_id: str, bundles: Path) -> Path:
        """Bring a bundle and what the gate said of it into the folder of a machine; returns its place.

        One at a time; what a process that died has brought is used. Raises BundleError, and leaves nothing in its
        place, for one that is not there or whose files are not those of its manifest.
        """
        target = bundles / checked_id(bundles, bundle_id)
        bundles.mkdir(parents=True, exist_ok=True)
        with exclusively(bundles / PUBLISHING):
            if target.is_dir():
                return target
            unfinished = bundles / f"{_FETCHING}{bundle_id}"
            for leftover in bundles.glob(f"{_FETCHING}*"):
                if leftover != unfinished:
                    shutil.rmtree(leftover)
            read = self._documents(bundle_id)
            if read is None:
                raise BundleError(
                    f"{self.url}: there is no bundle {bundle_id!r}; `recsys bundles list` shows the published ones"
                )
            manifest, *documents = read
            self._fill(unfinished, manifest)
            for name, content in zip((MANIFEST, MANIFEST_HASH), documents, strict=True):
                (unfinished / name).write_bytes(content)
            for path in (*unfinished.rglob("*"), unfinished):
                sync(path)
            if (decision := self.decision(bundle_id)) is not None:
                put(decision_path(bundles, bundle_id), decision)
            unfinished.rename(target)
            sync(bundles)
        return target

    def decision(self, bundle_id: str) -> bytes | None:
        """What the gate said of a bundle, as JSON; None when it never saw it."""
        return self._store.read(f"{DECISIONS}/{bundle_id}.json")

    def upload_decision(self, bundles: Path, bundle_id: str) -> None:
        """Bring what the gate said of a bundle, published or not."""
        self._store.upload(decision_path(bundles, bundle_id), f"{DECISIONS}/{bundle_id}.json")

    def prune(self, *, keep: int, needed: Collection[str | None]) -> list[str]:
        """Delete all bundles but the `keep` newest, the champion, the one before and those needed; returns their names.

        Decisions stay. What was not uploaded to its end goes once it is a day old.
        """
        manifests, promoted = self.manifests(), self.promoted()
        readable = ((manifest.created_at, name) for name, manifest in manifests.items() if manifest is not None)
        oldest = [name for _, name in sorted(readable, reverse=True)[keep:]]
        deleted = [name for name in oldest if name not in {*needed, promoted.champion, promoted.before}]
        self._delete(deleted)
        for name in self._store.names(BUNDLES):
            if name not in manifests and self._is_left_over(name):
                self._store.delete(f"{BUNDLES}/{name}")
        for number in self._numbers()[:-KEPT_CHAMPIONS]:
            self._store.delete(_name_of(number))
        return sorted(deleted)

    def delete(self, bundle_ids: Collection[str]) -> None:
        """Delete these; a rollback goes to one that was champion before them."""
        while True:
            known = self.promoted()
            left = [each for each in known.champions if each.bundle_id not in bundle_ids]
            if len(left) == len(known.champions) or self.commit(known, left):
                break
        self._delete(bundle_ids)

    def _delete(self, bundle_ids: Collection[str]) -> None:
        for name in bundle_ids:
            # First: without it the bundle is not there.
            self._store.delete(_file(name, MANIFEST_HASH))
            self._store.delete(f"{BUNDLES}/{name}")

    def _numbers(self) -> list[int]:
        names = (name.removesuffix(".json") for name in self._store.names(CHAMPIONS))
        return sorted(int(name) for name in names if name.isdecimal())

    def _promoted(self, number: int) -> Promoted | None:
        name = _name_of(number)
        content = self._store.read(name)
        if content is None:
            return None
        try:
            champions = msgspec.json.decode(content, type=tuple[Champion, ...])
        except msgspec.DecodeError as error:
            raise BundleError(
                f"{self.url}/{name}: {error}; expected the list of champions, delete the object: the one before counts"
            ) from error
        return Promoted(number, champions)

    def _documents(self, bundle_id: str) -> tuple[Manifest, bytes, bytes] | None:
        """The manifest, read and as it was written, and its hash."""
        sealed = self._store.read(_file(bundle_id, MANIFEST_HASH))
        document = None if sealed is None else self._store.read(_file(bundle_id, MANIFEST))
        if sealed is None or document is None:
            return None
        where = f"{self.url}/{_file(bundle_id, MANIFEST)}"
        manifest = decode_manifest(where, document, sealed.decode(errors="replace").strip())
        if manifest.bundle_id != bundle_id:
            raise BundleError(f"{where}: the manifest is that of {manifest.bundle_id}; upload the bundle again")
        return manifest, document, sealed

    def _fill(self, folder: Path, manifest: Manifest) -> None:
        """Bring the files that are not there, and compare all with the manifest."""
        for path in [path for path in folder.rglob("*") if path.is_file()]:
            if manifest.files.get(path.relative_to(folder).as_posix()) != sha256_of(path):
                path.unlink()
        for file, expected in manifest.files.items():
            where = _file(manifest.bundle_id, file)
            if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
                raise BundleError(f"{self.url}/{where}: a file of a bundle lies in its folder; do not use this bundle")
            path = folder / file
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            self._store.download(where, path)
            if (found := sha256_of(path)) != expected:
                path.unlink()
                raise BundleError(
                    f"{self.url}/{where}: sha256 is {found}, the manifest has {expected}; promote another bundle, and "
                    "delete this one from the store"
                )

    def _is_left_over(self, name: str) -> bool:
        changed_at = self._store.changed_at(f"{BUNDLES}/{name}")
        return changed_at is not None and datetime.now(UTC) - changed_at > HALF_AFTER


def _file(bundle_id: str, file: str) -> str:
    return f"{BUNDLES}/{bundle_id}/{file}"


def _name_of(number: int) -> str:
    return f"{CHAMPIONS}/{number:010}.json"
