"""Is anything lost when a server is killed: it is, at random moments, while clients post events and try again.

A client knows three states of an event: not sent, sent without an answer, acknowledged. What was not acknowledged is
sent again, under the same event_id, to the server that is started next. Afterwards the log must hold every acknowledged
event once, and no event that nobody sent.
"""

import json
import random
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.served import RECSYS, Served, served
from recsys.progress import progress
from recsys.workspace import Workspace

WRITERS = 3
MOST_EVENTS = 30
"""Of a batch."""
KILL_WITHIN_S = 0.5
"""After the first acknowledgement of a server."""


class Writer:
    """A client that posts batches, one after the other, until it has no server any more."""

    def __init__(self, items: Sequence[str], kind: str, seed: int) -> None:
        self._items, self._kind = items, kind
        self._random = random.Random(seed)  # noqa: S311
        self.acknowledged: list[str] = []
        self.sent: set[str] = set()
        self.resent = 0
        """Batches that were sent again, for they had no answer."""
        self._pending: list[dict[str, Any]] | None = None

    def run(self, server: Served, acknowledged: threading.Event, stop: threading.Event) -> None:
        """Post until the server is gone or `stop` is set, which leaves nothing without an answer."""
        with closing(server.client()) as client:
            while not stop.is_set() or self._pending is not None:
                if self._pending is None:
                    self._pending = self._made()
                else:
                    self.resent += 1
                ids = [event["event_id"] for event in self._pending]
                self.sent.update(ids)
                try:
                    status, answer = client.post("/v1/events", json.dumps({"events": self._pending}).encode())
                except (OSError, HTTPException):
                    return
                assert status == 200, answer
                assert [result["event_id"] for result in json.loads(answer)["results"]] == ids
                self.acknowledged += ids
                self._pending = None
                acknowledged.set()

    def _made(self) -> list[dict[str, Any]]:
        now = datetime.now(UTC).isoformat()
        return [
            {
                "event_id": uuid.UUID(int=self._random.getrandbits(128)).hex,
                "user_id": f"u{self._random.randrange(50)}",
                "item_id": self._random.choice(self._items),
                "event_type": self._kind,
                "timestamp": now,
            }
            for _ in range(self._random.randint(1, MOST_EVENTS))
        ]


def survive(
    config: Path, items: Sequence[str], kind: str, *, kills: int, seed: int = 0, recsys: Sequence[str] = RECSYS
) -> dict[str, int]:
    """Kill the server of a copy of the project so often; how many events were acknowledged, lost, counted twice."""
    chance = random.Random(seed)  # noqa: S311
    writers = [Writer(items, kind, seed * WRITERS + each) for each in range(WRITERS)]
    with TemporaryDirectory(prefix="recsys-kills-") as name, progress("killing the server", kills) as advance:
        copy = Path(name) / "project"
        # A long log makes each start long.
        shutil.copytree(config.parent, copy, ignore=shutil.ignore_patterns("events.db*"))
        for _ in range(kills):
            _live_and_die(served(copy / config.name, recsys), writers, chance.uniform(0, KILL_WITHIN_S))
            advance()
        # The last one is let live until nothing is without an answer.
        _live_and_die(served(copy / config.name, recsys), writers, None)
        stored = _stored(Workspace.open(copy / config.name).events)
    acknowledged = [event for writer in writers for event in writer.acknowledged]
    known = set(stored)
    return {
        "kills": kills,
        "acknowledged": len(acknowledged),
        "resent": sum(writer.resent for writer in writers),
        "lost": len(set(acknowledged) - known),
        "twice": len(stored) - len(known),
        "invented": len(known - set().union(*(writer.sent for writer in writers))),
    }


def _live_and_die(
    starting: AbstractContextManager[Served], writers: Sequence[Writer], killed_after_s: float | None
) -> None:
    """A server with all writers: killed so long after its first answer, or else stopped when they have ended."""
    first, stop = threading.Event(), threading.Event()
    with starting as server:
        threads = [threading.Thread(target=writer.run, args=(server, first, stop)) for writer in writers]
        for thread in threads:
            thread.start()
        first.wait()
        if killed_after_s is None:
            stop.set()
        else:
            time.sleep(killed_after_s)
            server.kill()
        for thread in threads:
            thread.join()


def _stored(log: Path) -> list[str]:
    """The event_ids, in the order of the log, which must be whole."""
    with closing(sqlite3.connect(log)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [event for (event,) in connection.execute("SELECT event_id FROM interactions ORDER BY sequence")]
