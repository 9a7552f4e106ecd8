"""Which bundles were trained with a user.

Reads   trained_users.npy of bundles and of stages in cache/: uint64 (n,), sorted: the beginnings of the users' hashes
Writes  bundles/BUNDLE_ID.forgotten.json, beside the bundle, which never changes

A bundle that is marked goes on serving until the next retraining replaces it.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from recsys.bundle import list_bundles, read_manifest
from recsys.bundle_files import TRAINED_USERS_FILE
from recsys.durable import put
from recsys.errors import BundleError
from recsys.forgetting.key import Shorts, short_of
from recsys.forgetting.who import Who

MARK: Final = ".forgotten.json"


class Mark(msgspec.Struct, frozen=True):
    """The hashes of forgotten users that a bundle was trained with, each with the moment of it."""

    users: dict[str, datetime]

    @property
    def latest(self) -> datetime:
        """When the last one was."""
        return max(self.users.values())


def write_trained_users(folder: Path, users: Shorts) -> None:
    """Say in the folder of a stage or a bundle whom it learned from."""
    np.save(folder / TRAINED_USERS_FILE, users)


def read_trained_users(folder: Path) -> Shorts | None:
    """None when that was not noted."""
    path = folder / TRAINED_USERS_FILE
    return np.load(path) if path.exists() else None


def trained_with(folder: Path, who: Who) -> list[str]:
    """The hashes of those that a stage or a bundle says it learned from."""
    users = read_trained_users(folder)
    return [] if users is None else [user for user in sorted(who.moments) if _holds(users, short_of(user))]


def mark_path(bundles: Path, bundle_id: str) -> Path:
    """Where the mark of a bundle lies; there is none on one that learned from nobody who was forgotten."""
    return bundles / f"{bundle_id}{MARK}"


def read_mark(bundles: Path, bundle_id: str) -> Mark | None:
    """Raises BundleError for a mark that cannot be read."""
    path = mark_path(bundles, bundle_id)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Mark)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise BundleError(
            f"{path}: {error}; remove the bundle, or put the mark back that `recsys forget` wrote"
        ) from error


def mark_bundles(bundles: Path, who: Who, *, first_seen: datetime | None) -> list[str]:
    """Mark every bundle that was trained with any of these; returns their names.

    first_seen  of them in the tables; None: they are not there. A bundle of an earlier version, which does not say
                whom it learned from, is marked when it learned from that time.
    """
    marked = []
    for folder in list_bundles(bundles):
        found: Iterable[str] = trained_with(folder, who)
        if read_trained_users(folder) is None and _may_know(folder, first_seen):
            found = sorted(who.moments)
        if found:
            before = read_mark(bundles, folder.name)
            users = {} if before is None else before.users
            mark = Mark({**users, **{user: who.moments[user] for user in found}})
            put(mark_path(bundles, folder.name), msgspec.json.format(msgspec.json.encode(mark), indent=1) + b"\n")
            marked.append(folder.name)
    return marked


def _may_know(folder: Path, first_seen: datetime | None) -> bool:
    if first_seen is None:
        return False
    try:
        until = read_manifest(folder).trained_until
    except BundleError:
        return True
    return until is None or first_seen < until


def _holds(users: Shorts, short: int) -> bool:
    at = int(np.searchsorted(users, np.uint64(short)))
    return at < len(users) and int(users[at]) == short
