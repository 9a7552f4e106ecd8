"""How many requests a key may send: a token bucket (Turner 1986, as in RFC 2697)."""

import time
from collections.abc import Callable
from threading import Lock


class TokenBucket:
    """Holds at most `burst` tokens, is full at first and gets `per_second` more; for several threads.

    In any span of t seconds no more than burst + per_second × t are taken.
    """

    def __init__(self, per_second: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second, self.burst = per_second, burst
        self._clock = clock
        self._tokens, self._at = float(burst), clock()
        self._lock = Lock()

    def take(self) -> float:
        """Take a token: 0.0, or the seconds until there is one when there is none now."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_second)
            self._at = now
            if self._tokens >= 1.0:
                self._tokens -= 1.0
                return 0.0
            return (1.0 - self._tokens) / self.per_second
