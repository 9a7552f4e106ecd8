"""The event log that [log] of a recsys.toml names."""

from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from recsys.errors import ConfigError
from recsys.online_address import SQLITE, resolve
from recsys.workspace import Workspace
from serving.events import EventLog

if TYPE_CHECKING:
    from serving.redis_stream import RedisStream

KEY: Final = "log.store"
SECONDS_A_DAY: Final = 86_400
KEEP_DAYS: Final = 90.0
"""How long Redis recognises an event that is sent again, where retention has no end."""


def open_log(workspace: Workspace) -> EventLog:
    """The project's event log, to be written; readers find it in events.db.

    Raises DataError or ConfigError when it cannot be used.
    """
    if resolve(workspace.config.log.store, KEY) == SQLITE:
        return EventLog.open(workspace.events)
    from serving.forgetting.stream import follow_forgotten
    from serving.redis_store import RedisStore

    store = RedisStore(lambda: open_stream(workspace), workspace.events, partial(follow_forgotten, workspace))
    return EventLog(workspace.events, store)


def open_stream(workspace: Workspace) -> "RedisStream":
    """The stream of a project whose log is in Redis. Raises ConfigError when recsys[redis] is not installed."""
    log = workspace.config.log
    if find_spec("redis") is None:
        raise ConfigError(f"{KEY}: the package redis is missing; pip install 'recsys[redis]', or set store to sqlite")
    from serving.redis_stream import RedisStream

    keep = SECONDS_A_DAY * (KEEP_DAYS if log.retention_days is None else log.retention_days)
    return RedisStream(resolve(log.store, KEY), workspace.config.name, keep_keys_s=max(1, round(keep)))
