"""The stream of an event log in Redis: append rows that are not there, flushed to its disk, and follow others.

recsys:{PROJECT}:log            the stream
recsys:{PROJECT}:log:numbers    table → the last sequence that was given
recsys:{PROJECT}:log:id         what tells this log from another one
recsys:{PROJECT}:log:seen:…     the keys of rows, for as long as a repeated one is recognised
"""

import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from recsys.errors import DataError
from recsys.online_address import shown
from serving.numbering import NUMBERED
from serving.stream_rows import StreamRow

FLUSH_TIMEOUT_MS: Final = 3_000
"""How long Redis may take to flush; with appendfsync everysec it takes a second."""

SOCKET_TIMEOUT_S: Final = 5.0
BLOCK_MS: Final = 500
"""How long a reader waits for new entries at a time."""

ENTRIES_AT_ONCE: Final = 5_000

# Atomic: a server that dies leaves a row numbered, known and in the stream, or none of it.
_APPEND: Final = """
local given = {}
for at = 2, #ARGV, 3 do
  local kind, key, row = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local sequence = 0
  if key == '' or redis.call('SET', KEYS[1] .. ':seen:' .. kind .. ':' .. key, '', 'NX', 'EX', ARGV[1]) then
    sequence = redis.call('HINCRBY', KEYS[1] .. ':numbers', kind, 1)
    redis.call('XADD', KEYS[1], '*', 'table', kind, 'sequence', sequence, 'row', row)
  end
  given[#given + 1] = sequence
end
return given
"""

_LOG: Final = logging.getLogger(__name__)


class RedisStream:
    """For one thread at a time. Methods raise RedisError."""

    def __init__(self, address: str, project: str, *, keep_keys_s: int) -> None:
        """`keep_keys_s`: how long a repeated row is recognised. Nothing is connected yet."""
        self.name = shown(address)
        self._keep_keys_s = keep_keys_s
        self._key = f"recsys:{{{project}}}:log"
        # Not tried again: an append that had no answer may have been one.
        self._redis: Any = Redis.from_url(
            address,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=SOCKET_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._flushes = True

    def check(self) -> None:
        """Raises DataError when this Redis keeps nothing on a disk."""
        try:
            self._redis.execute_command("WAITAOF", 0, 0, 1)
            self._redis.execute_command("WAITAOF", 1, 0, 1)
        except ResponseError as error:
            if "unknown command" in str(error):
                self._flushes = False
                _LOG.warning(
                    "%s cannot say when it has flushed (that takes Redis 7.2 or Valkey): events are acknowledged once "
                    "they are in its memory",
                    self.name,
                )
            else:
                raise DataError(
                    f"{self.name}: Redis keeps nothing on a disk; set its appendonly to yes, or [log] store to sqlite"
                ) from error

    def id(self) -> str:
        """The id of this log, which is made when there is none."""
        self._redis.set(f"{self._key}:id", uuid.uuid4().hex, nx=True)
        found = self._redis.get(f"{self._key}:id")
        return bytes(found).decode()

    def last(self) -> dict[str, int]:
        """Table → the last sequence that was given."""
        found = self._redis.hmget(f"{self._key}:numbers", list(NUMBERED))
        return {table: int(number or 0) for table, number in zip(NUMBERED, found, strict=True)}

    def append(self, rows: Sequence[StreamRow]) -> list[int]:
        """The sequence of each row, 0 for one whose key is known; when this returns they are on the disk of Redis.

        Raises RedisError; the rows may be there all the same.
        """
        arguments: list[Any] = [self._keep_keys_s]
        for row in rows:
            arguments += row
        # On one connection: what is waited for is what this one wrote.
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.eval(_APPEND, 1, self._key, *arguments)
            if self._flushes:
                pipeline.execute_command("WAITAOF", 1, 0, FLUSH_TIMEOUT_MS)
            given, *flushed = pipeline.execute()
        if flushed and flushed[0][0] < 1:
            raise RedisError("Redis did not flush its log in time")
        return [int(sequence) for sequence in given]

    def after(self, entry_id: str) -> list[tuple[bytes, Mapping[bytes, bytes]]]:
        """The entries behind this one; waits a moment when there are none."""
        answer = self._redis.xread({self._key: entry_id}, count=ENTRIES_AT_ONCE, block=BLOCK_MS)
        return list(answer[0][1]) if answer else []

    def entries(self) -> Iterator[tuple[bytes, Mapping[bytes, bytes]]]:
        """Every entry that there is now, in its order."""
        last = self._redis.xrevrange(self._key, count=1)
        start = "-"
        while last and (found := self._redis.xrange(self._key, start, last[0][0], count=ENTRIES_AT_ONCE)):
            yield from found
            start = f"({found[-1][0].decode()}"

    def remove(self, entry_ids: Sequence[bytes], keys: Sequence[tuple[str, str]]) -> None:
        """Remove entries, and the keys by which rows of a table are recognised, each as (table, key)."""
        for start in range(0, len(entry_ids), ENTRIES_AT_ONCE):
            self._redis.xdel(self._key, *entry_ids[start : start + ENTRIES_AT_ONCE])
        for start in range(0, len(keys), ENTRIES_AT_ONCE):
            names = [f"{self._key}:seen:{table}:{key}" for table, key in keys[start : start + ENTRIES_AT_ONCE]]
            self._redis.unlink(*names)

    def trim(self, before: datetime) -> None:
        """Remove entries that were added before a moment."""
        first = f"{int(before.timestamp() * 1000)}-0"
        # Some nodes at a time, so that nobody waits long.
        while self._redis.xtrim(self._key, minid=first, approximate=True):
            pass

    def close(self) -> None:
        self._redis.close()
