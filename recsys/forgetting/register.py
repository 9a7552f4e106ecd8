"""Whom the project has forgotten: since when, and whether all that it kept of them is gone.

Reads and writes  forgotten.json   {"key": NAME OF THE KEY, "users": [{"user": HASH, "at": TIME, "served", "done"}]}

A user is noted here before anything is removed. So a process that dies on the way leaves a note of what is left to do,
and an import of the same files again brings nothing back.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from recsys.durable import exclusively, write_private
from recsys.errors import DataError
from recsys.forgetting.key import LOCK, UserKey
from recsys.forgetting.who import Who

REGISTER: Final = "forgotten.json"


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """A user whose rows from before `at` are not to be kept."""

    user: str
    """The hash of the id."""
    at: datetime
    served: bool = False
    """Whether what servers answer from is rid of them."""
    done: bool = False
    """Whether everything is."""


class _File(msgspec.Struct):
    key: str
    users: list[Forgotten]


class Register:
    """That of the project in a folder."""

    def __init__(self, root: Path) -> None:
        self._root, self._path = root, root / REGISTER
        self._read_at: tuple[int, int] | None = None
        self._served: tuple[object, ...] = ()

    def users(self) -> list[Forgotten]:
        """All, the latest last. Raises DataError for a file that cannot be read, or that is of another key."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_File)
        except FileNotFoundError:
            return []
        except msgspec.DecodeError as error:
            raise DataError(f"{self._path}: {error}; put the file back that `recsys forget` wrote") from error
        key = UserKey.existing(self._root)
        if found.key != key.name:
            raise DataError(
                f"{self._path}: its users are hashed with the key {found.key}, forgotten.key is {key.name}; "
                "put the key back that belongs to it"
            )
        return found.users

    def note(self, user_ids: Iterable[str], at: datetime) -> Who:
        """These are to be forgotten as of a moment; on the disk when the call returns."""
        key, ids = UserKey.of(self._root), dict.fromkeys(user_ids, at)
        who = Who(key, {key.hash(user): at for user in ids}, ids)
        self.note_hashes(who.moments)
        return who

    def note_hashes(self, moments: Mapping[str, datetime]) -> None:
        """The same by their hashes, each with its moment. Whom it knows as of then or later it knows already."""
        with exclusively(self._root / LOCK):
            known = {one.user: one for one in self.users()}
            new = {user: at for user, at in moments.items() if user not in known or known[user].at < at}
            if new:
                kept = [one for one in known.values() if one.user not in new]
                self._write([*kept, *(Forgotten(user=user, at=at) for user, at in new.items())])

    def pending(self) -> Who | None:
        """All of whom something may be left; None when there is nobody."""
        return self._who(one for one in self.users() if not one.done)

    def all(self) -> Who | None:
        """Everybody who was ever forgotten; None when nobody was."""
        return self._who(self.users())

    def set_served(self, who: Who) -> None:
        """What servers answer from is rid of these, but for one who was noted again meanwhile."""
        self._change(who, served=True)

    def set_done(self, who: Who) -> None:
        """Everything is."""
        self._change(who, done=True)

    @contextmanager
    def held(self) -> Iterator[Who | None]:
        """The same as `all`; nobody is added inside the block."""
        with exclusively(self._root / LOCK):
            yield self.all()

    def served(self) -> object:
        """Another value whenever servers have someone more to forget. Quick, and never raises."""
        try:
            found = os.stat(self._path)
            state = found.st_ino, found.st_mtime_ns
            if state != self._read_at:
                users = msgspec.json.decode(self._path.read_bytes(), type=_File).users
                self._served = tuple((one.user, one.at) for one in users if one.served)
                self._read_at = state
        except (OSError, msgspec.DecodeError):
            pass
        return self._served

    def _who(self, users: Iterable[Forgotten]) -> Who | None:
        moments = {one.user: one.at for one in users}
        return Who(UserKey.existing(self._root), moments) if moments else None

    def _change(self, who: Who, **said: bool) -> None:
        with exclusively(self._root / LOCK):
            known = self.users()
            changed = [
                msgspec.structs.replace(one, **said) if who.moments.get(one.user) == one.at else one for one in known
            ]
            if changed != known:
                self._write(changed)

    def _write(self, users: list[Forgotten]) -> None:
        content = msgspec.json.encode(_File(UserKey.existing(self._root).name, users))
        write_private(self._path, msgspec.json.format(content, indent=1) + b"\n")
