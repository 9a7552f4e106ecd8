"""How many requests may be on their way at once: no more than can be answered one after the other in the time of each.

Scored together, requests become answers all at the same moment, and by one core. Those of a batch that is too large
would be late for each other; who waits for a turn does so as before a process that is busy.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple


class _Waiting(NamedTuple):
    """One that begins when fewer than `at_once` are under way."""

    at_once: int
    turn: "asyncio.Future[None]"


class Turns:
    """Of one engine; for the thread of the event loop."""

    def __init__(self) -> None:
        self._under_way = 0
        self._waiting: deque[_Waiting] = deque()

    @asynccontextmanager
    async def turn(self, at_once: int) -> AsyncIterator[float]:
        """Within it at most so many are, in the order in which they came; says how many seconds it waited."""
        began = time.perf_counter()
        if self._waiting or self._under_way >= at_once:
            one = _Waiting(at_once, asyncio.get_running_loop().create_future())
            self._waiting.append(one)
            try:
                await one.turn
            except asyncio.CancelledError:
                if one in self._waiting:
                    self._waiting.remove(one)
                    self._let_in()
                else:
                    self._end()
                raise
        else:
            self._under_way += 1
        try:
            yield time.perf_counter() - began
        finally:
            self._end()

    def _end(self) -> None:
        self._under_way -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._under_way < self._waiting[0].at_once:
            self._under_way += 1
            # Cancelled at this very moment, it gives its turn back.
            turn = self._waiting.popleft().turn
            if not turn.done():
                turn.set_result(None)
