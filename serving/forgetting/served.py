"""Make servers forget users: they answer from nothing of them any more, and keep nothing of them.

Every process of a server reads the register each second, and loads its engine anew when somebody was forgotten: what it
had in memory goes with the old one.

Writes  events.db or the stream of [log] store, log/, features/online/, forgotten.json
"""

from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime

from features.online_behaviour import OnlineBehaviour
from recsys.errors import DataError
from recsys.forgetting.register import Register
from recsys.forgetting.who import Who
from recsys.online_address import SQLITE, resolve
from recsys.workspace import Workspace
from serving.forgetting.exported import forget_exported
from serving.forgetting.log import forget_in_log
from serving.open_log import KEY, open_stream


def forget_users(workspace: Workspace, user_ids: Iterable[str]) -> dict[str, int]:
    """Note that these are to be forgotten, and forget what servers have; returns how many rows of each place.

    Raises a RecsysError when a place cannot be written; the note stays, so that `recsys forget --pending` goes on.
    """
    who = Register(workspace.root).note(user_ids, datetime.now(UTC))
    return forget_served(workspace, who, thoroughly=False)


def forget_served(workspace: Workspace, who: Who, *, thoroughly: bool) -> dict[str, int]:
    """The same of users who were noted before; `thoroughly`: as of serving.forgetting.log."""
    removed = forget_in_log(workspace.events, who, thoroughly=thoroughly)
    if resolve(workspace.config.log.store, KEY) != SQLITE:
        # What is on its way from there into the file is forgotten by who brings it (serving.forgetting.stream).
        removed["stream"] = _forget_in_stream(workspace, who)
    # After the log: an export that ran meanwhile may have taken rows out of it.
    removed["exported"] = forget_exported(workspace.exported, who)
    removed["online"] = _forget_online(workspace, who, thoroughly=thoroughly)
    Register(workspace.root).set_served(who)
    return removed


def _forget_in_stream(workspace: Workspace, who: Who) -> int:
    from redis.exceptions import RedisError

    from serving.forgetting.stream import forget_in_stream

    with closing(open_stream(workspace)) as stream:
        try:
            return forget_in_stream(stream, who)
        except RedisError as error:
            raise DataError(
                f"{stream.name}: {type(error).__name__}; run `recsys forget --pending` when Redis answers"
            ) from error


def _forget_online(workspace: Workspace, who: Who, *, thoroughly: bool) -> int:
    if not workspace.features.exists():
        return 0
    return OnlineBehaviour.of(workspace).forget_online(who, thoroughly=thoroughly)
