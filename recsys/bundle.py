"""A model bundle: everything that serves, in one folder that is complete or not there.

bundles/<bundle_id>/            model files as the training stages made them, and
bundles/<bundle_id>/manifest.json, manifest.sha256    what is in it and a hash of every file
bundles/champion                the bundle_id that serves
bundles/champions.json          those before it (recsys.champions)

Machines that share an object store have copies of it in such a folder each (recsys.shelf).

A bundle is written beside its place, made durable and renamed; the champion changes by one atomic replacement. A
process that dies in the middle leaves the old champion and at most a hidden folder that the next publish removes.
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from recsys.champions import Champion, champions, note_champion, previous_champion, write_champions
from recsys.durable import exclusively, put, sync
from recsys.errors import BundleError

FORMAT_VERSION: Final = 1
MANIFEST: Final = "manifest.json"
MANIFEST_HASH: Final = "manifest.sha256"
CHAMPION: Final = "champion"

_BUNDLE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_UNFINISHED: Final = ".publishing-"
PROMOTING: Final = ".promote.lock"
PUBLISHING: Final = ".publish.lock"
_REPAIR: Final = "publish the bundle again, or promote an older one"


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bundle holds, how it was made and how good it was."""

    bundle_id: str
    created_at: datetime
    dataset: str
    trained_from: datetime | None
    trained_until: datetime | None
    versions: dict[str, str]
    """Package → version that wrote the models."""
    features: list[str]
    """Names of the ranker's features, in the order of its columns."""
    channels: list[str] = []
    """Those that brought the candidates that the ranker learned from; empty when that was not noted."""
    metrics: dict[str, Any] = {}
    """Nested dictionaries of plain numbers."""
    text: dict[str, Any] = {}
    """What the text model reads: fields, max_tokens, vector dimension, history_items, …"""
    ranker: dict[str, Any] = {}
    """How many trees, how that was chosen, and by how much their scores differ on ONNX Runtime; empty of a ranker
    without trees."""
    files: dict[str, str] = {}
    """File → SHA-256 of every other file of the bundle; `publish` fills it in."""
    format_version: int = FORMAT_VERSION


class _Version(msgspec.Struct):
    format_version: int


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every file was compared with the manifest."""

    path: Path
    manifest: Manifest


def publish(bundles: Path, manifest: Manifest, build: Callable[[Path], None]) -> Path:
    """Make a bundle: `build` writes its files into the empty folder that it is given. Returns the finished folder.

    One publish at a time: another one waits, in this or any other process. Raises BundleError when the id is not a
    plain name or is taken, or when `build` leaves nothing or something that is not a plain file; whatever `build`
    raises passes through. In each of these cases nothing is left behind.
    """
    target = bundles / checked_id(bundles, manifest.bundle_id)
    bundles.mkdir(parents=True, exist_ok=True)
    with exclusively(bundles / PUBLISHING):
        # Whoever holds the lock is the only live publisher: every other unfinished folder is a dead one's.
        for leftover in bundles.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(leftover)
        if target.exists():
            raise BundleError(
                f"{target}: the bundle is there already and is never overwritten; choose another bundle_id"
            )
        unfinished = bundles / f"{_UNFINISHED}{manifest.bundle_id}"
        unfinished.mkdir()
        try:
            build(unfinished)
            _seal(unfinished, manifest)
            unfinished.rename(target)
        except BaseException:
            shutil.rmtree(unfinished)
            raise
        sync(bundles)
    return target


def promote(
    bundles: Path,
    bundle_id: str,
    check: Callable[[Bundle], None] | None = None,
    *,
    instead_of: str | None = None,
) -> None:
    """Make a bundle the champion; the one before is noted, for `rollback`.

    instead_of  only as long as this one is champion; None: whichever is

    Raises BundleError, and leaves the old champion, when the bundle is not whole or another one than `instead_of` is
    champion by now; whatever `check` raises of it does the same.
    """
    check_bundle(bundles / checked_id(bundles, bundle_id), check)
    with exclusively(bundles / PROMOTING):
        before = champion_id(bundles)
        check_unchanged(bundles, before, bundle_id, instead_of)
        # Raises before anything is changed.
        champions(bundles)
        put(bundles / CHAMPION, f"{bundle_id}\n".encode())
        # After the champion: without its note, what it had before is still the one before.
        note_champion(bundles, bundle_id, before)


def rollback(bundles: Path, check: Callable[[Bundle], None] | None = None) -> str:
    """Make the champion before this one the champion again, and return its id; the next rollback goes further back.

    Raises BundleError, and changes nothing, when there was none before or it is not whole; or as `check` raises.
    """
    with exclusively(bundles / PROMOTING):
        now = champion(bundles).name
        before = previous_champion(bundles, now)
        if before is None:
            raise BundleError(
                f"{bundles}: no champion is known from before {now}; `recsys bundles list` shows what can be promoted"
            )
        check_bundle(bundles / checked_id(bundles, before), check)
        # Before the champion: left alone, the note says that the one to go back to is still this one.
        note_champion(bundles, before, None, back=True)
        put(bundles / CHAMPION, f"{before}\n".encode())
    return before


def set_champions(bundles: Path, known: Sequence[Champion]) -> None:
    """Have what a store says of champions, newest first, at least one. Callers hold the lock PROMOTING and have the
    bundle of the first."""
    if champion_id(bundles) != known[0].bundle_id:
        put(bundles / CHAMPION, f"{known[0].bundle_id}\n".encode())
    write_champions(bundles, known)


def check_unchanged(where: object, champion: str | None, bundle_id: str, instead_of: str | None) -> None:
    """Raises BundleError when a bundle is to take the place of another one than the champion."""
    if instead_of is not None and champion not in (instead_of, bundle_id):
        raise BundleError(
            f"{where}: {champion} was made champion meanwhile, {bundle_id} was to take the place of {instead_of}; "
            "compare it with the new one: run the retraining again, or look with `recsys bundles diff`"
        )


def champion_id(bundles: Path) -> str | None:
    """The name that `champion` has, whatever it is; None while nothing was promoted."""
    try:
        return (bundles / CHAMPION).read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None


def champion(bundles: Path) -> Path:
    """The folder of the bundle that serves. Raises BundleError when none was promoted."""
    pointer, bundle_id = bundles / CHAMPION, champion_id(bundles)
    if bundle_id is None:
        raise BundleError(f"{pointer}: no bundle was promoted yet; run `recsys train` first")
    return bundles / checked_id(pointer, bundle_id)


def list_bundles(bundles: Path) -> list[Path]:
    """The folders of all published bundles, by name; their files are not checked."""
    return sorted(path.parent for path in bundles.glob(f"[!.]*/{MANIFEST}"))


def open_bundle(path: Path) -> Bundle:
    """Read a bundle and compare every file with its hash.

    Raises BundleError that names the first file which is missing, differs or is not listed.
    """
    hashes = {name: sha256_of(path / name) for name in _file_names(path)}
    sealed_hash = _read(path / MANIFEST_HASH).decode(errors="replace").strip()
    manifest = decode_manifest(path / MANIFEST, _read(path / MANIFEST), sealed_hash)
    expected = {MANIFEST: sealed_hash, MANIFEST_HASH: hashes[MANIFEST_HASH], **manifest.files}
    for name in sorted(expected):
        if name not in hashes:
            raise BundleError(f"{path / name}: the file is missing, the manifest lists it; {_REPAIR}")
        if hashes[name] != expected[name]:
            raise BundleError(f"{path / name}: sha256 is {hashes[name]}, the manifest has {expected[name]}; {_REPAIR}")
    for name in sorted(hashes.keys() - expected.keys()):
        raise BundleError(f"{path / name}: the manifest does not list this file; remove it, a bundle never changes")
    if manifest.bundle_id != path.name:
        raise BundleError(f"{path}: the manifest is that of {manifest.bundle_id}; give the folder this name again")
    return Bundle(path, manifest)


def read_manifest(path: Path) -> Manifest:
    """What a bundle says of itself; none of its files but the manifest is looked at. Raises BundleError."""
    if not path.is_dir():
        raise BundleError(f"{path}: there is no such bundle; `recsys bundles list` shows the published ones")
    sealed_hash = _read(path / MANIFEST_HASH).decode(errors="replace").strip()
    return decode_manifest(path / MANIFEST, _read(path / MANIFEST), sealed_hash)


def champion_state(bundles: Path) -> tuple[object, ...]:
    """The champion's name, and name, size, time of the change and inode of each of its files: equal as long as another
    look at the files would find the same. Quick."""
    bundle_id = champion_id(bundles)
    if bundle_id is None or not _BUNDLE_ID.fullmatch(bundle_id):
        return (bundle_id,)
    folder, found = bundles / bundle_id, []
    for path in sorted(folder.rglob("*")):
        try:
            about = path.stat()
        except FileNotFoundError:  # just removed, or a link to nowhere
            continue
        found.append((path, about.st_size, about.st_mtime_ns, about.st_ino))
    return (bundle_id, *found)


def decision_path(bundles: Path, bundle_id: str) -> Path:
    """Where the gate's decision on a bundle lies, published or refused, as JSON; none on one that it never saw."""
    return bundles / f"{bundle_id}.decision.json"


def check_bundle(path: Path, check: Callable[[Bundle], None] | None) -> None:
    """Raises BundleError when a bundle is not whole, or whatever `check` raises of it."""
    bundle = open_bundle(path)
    if check is not None:
        check(bundle)


def _seal(folder: Path, manifest: Manifest) -> None:
    """Hash what was built, write the manifest, and push all of it to the disk."""
    hashes = {name: sha256_of(folder / name) for name in _file_names(folder)}
    if not hashes:
        raise BundleError(f"{folder}: build wrote no file; a bundle holds at least one")
    for name in (MANIFEST, MANIFEST_HASH):
        if name in hashes:
            raise BundleError(f"{folder}: build wrote {name}, which publish writes; choose another name")
    document = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(manifest, files=hashes)))
    (folder / MANIFEST).write_bytes(document)
    (folder / MANIFEST_HASH).write_text(hashlib.sha256(document).hexdigest() + "\n", encoding="utf-8")
    for path in (*folder.rglob("*"), folder):
        sync(path)


def decode_manifest(path: object, document: bytes, sealed_hash: str) -> Manifest:
    """What a manifest says; `path`: where it was read. Raises BundleError when it is not the one that was sealed."""
    found = hashlib.sha256(document).hexdigest()
    if found != sealed_hash:
        raise BundleError(f"{path}: sha256 is {found}, {MANIFEST_HASH} beside it has {sealed_hash!r}; {_REPAIR}")
    # The version first: another format may have other fields.
    version = msgspec.json.decode(document, type=_Version).format_version
    if version != FORMAT_VERSION:
        raise BundleError(
            f"{path}: format_version is {version}, this recsys reads {FORMAT_VERSION}; train a bundle with it"
        )
    return msgspec.json.decode(document, type=Manifest)


def _file_names(folder: Path) -> list[str]:
    """Paths of all files, relative to the folder, in order. A link would change with what it points to: refused."""
    if not folder.is_dir():
        raise BundleError(f"{folder}: there is no such bundle; `recsys bundles list` shows the published ones")
    names = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BundleError(f"{path}: a bundle holds plain files; put a copy of the file here")
        if path.is_file():
            names.append(path.relative_to(folder).as_posix())
    return names


def is_id(bundle_id: str) -> bool:
    """Whether it is a plain name that a bundle can have."""
    return bool(_BUNDLE_ID.fullmatch(bundle_id)) and bundle_id != CHAMPION


def checked_id(where: object, bundle_id: str) -> str:
    """The id. Raises BundleError for what is no plain name."""
    if not is_id(bundle_id):
        raise BundleError(
            f"{where}: {bundle_id!r} is no bundle id; expected letters, digits, '.', '_' and '-', and not {CHAMPION!r}"
        )
    return bundle_id


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BundleError(f"{path}: the file is missing; {_REPAIR}") from error


def sha256_of(path: Path) -> str:
    """In hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
