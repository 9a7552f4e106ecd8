"""Forgetting in an event log that is a Redis stream, and the entry by which every server of it does the same.

An entry `forgotten` of the stream has the hashes of users, the moment, and the name of the key of these hashes: servers
on other machines have events.db, exported files and tables of their own.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from recsys.errors import DataError
from recsys.forgetting.key import KEY, UserKey
from recsys.forgetting.register import Register
from recsys.forgetting.who import Who
from recsys.workspace import Workspace
from serving.forgetting.log import forget_in_log
from serving.redis_stream import RedisStream
from serving.shadow_table import SHADOWS
from serving.stream_rows import FORGOTTEN, StreamRow

_LOG: Final = logging.getLogger(__name__)
Entry = tuple[bytes, Mapping[bytes, bytes]]

USER_AT: Final = {"interactions": 1, "impressions": 1, "users": 0}
"""Table → where the user stands in the values of an entry."""
KEY_AT: Final = {"interactions": 0, "impressions": 0}
"""Where the key stands by which Redis recognises a repeated row."""


class ForgottenRow(NamedTuple):
    """What an entry says: hash → moment, and the name of the key."""

    moments: dict[str, str]
    key: str


def forget_in_stream(stream: RedisStream, who: Who) -> int:
    """Delete the entries of these users and tell all servers; returns how many entries. Raises RedisError.

    Redis keeps what a deleted entry said until the entries beside it are gone as well, and its file is written anew.
    """
    gone: list[bytes] = []
    seen: list[tuple[str, str]] = []
    shadows: dict[str, list[bytes]] = {}
    requests: set[str] = set()
    for entry_id, fields in stream.entries():
        table = fields[b"table"].decode()
        row, _ = msgspec.msgpack.decode(fields[b"row"])
        if table == SHADOWS:
            shadows.setdefault(row[0], []).append(entry_id)
        elif table in USER_AT and _is_before(entry_id, who.among([row[USER_AT[table]]])):
            gone.append(entry_id)
            if table in KEY_AT:
                seen.append((table, row[KEY_AT[table]]))
            if table == "impressions":
                requests.add(row[0])
    gone += [entry_id for request in requests for entry_id in shadows.get(request, ())]
    stream.remove(gone, seen)
    told = ForgottenRow({user: at.isoformat() for user, at in who.moments.items()}, who.key.name)
    stream.append([StreamRow(FORGOTTEN, "", msgspec.msgpack.encode((tuple(told), None)))])
    return len(gone)


def _is_before(entry_id: bytes, users: Mapping[str, datetime]) -> bool:
    """Whether an entry is of one of these, from before the moment of that user: an id begins with the milliseconds."""
    came = int(entry_id.partition(b"-")[0])
    return any(came <= at.timestamp() * 1000 for at in users.values())


def follow_forgotten(workspace: Workspace, entries: Sequence[Entry]) -> Callable[[], None]:
    """Note whom entries say to forget, maybe on another machine; what is returned forgets them in events.db.

    `recsys forget --pending`, or the next retraining, does the rest on this machine as well.
    """
    rows = [
        msgspec.msgpack.decode(fields[b"row"])[0] for _, fields in entries if fields[b"table"] == FORGOTTEN.encode()
    ]
    found = [who for row in rows if (who := _noted(workspace, ForgottenRow(*row))) is not None]

    def forget() -> None:
        for who in found:
            forget_in_log(workspace.events, who, thoroughly=False)
            Register(workspace.root).set_served(who)

    return forget


def _noted(workspace: Workspace, told: ForgottenRow) -> Who | None:
    """None when this machine cannot recognise them."""
    try:
        key = UserKey.existing(workspace.root)
        if key.name != told.key:
            raise DataError(f"{workspace.root / KEY}: this is the key {key.name}, that of the others is {told.key}")
        who = Who(key, {user: datetime.fromisoformat(at) for user, at in told.moments.items()})
        Register(workspace.root).note_hashes(who.moments)
    except DataError as error:
        _LOG.error("%s; a user was forgotten elsewhere and is not here: copy %s from there, forget again", error, KEY)
        return None
    return who
