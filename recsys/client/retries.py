"""When a call is tried again, and after how long."""

import random
from dataclasses import dataclass

from recsys.client.errors import ClientError, ProblemError, UnreachableError

NOT_DONE = (429, 503)
"""The server says that it has done nothing, and often when to come back."""

MAYBE_DONE = (502, 504)
"""A proxy says that it does not know."""


@dataclass(frozen=True)
class Retries:
    """The pause before the n-th retry is drawn between 0 and `first_pause_s` × 2^(n-1), at most `longest_pause_s`.

    So many clients do not come back all at once ("full jitter": Brooker, AWS Architecture Blog, 2015). A Retry-After of
    the server is kept in any case.
    """

    most: int = 2
    first_pause_s: float = 0.05
    longest_pause_s: float = 2.0

    def pause(self, retry: int) -> float:
        """Seconds before retry 1, 2, …"""
        most = min(self.longest_pause_s, self.first_pause_s * 2.0 ** (retry - 1))
        return random.uniform(0.0, most)  # noqa: S311  # nobody gains by guessing it


def may_try_again(error: ClientError, *, repeatable: bool) -> bool:
    """Whether a second try can do no harm; repeatable: to do it twice is to do it once."""
    if isinstance(error, ProblemError):
        return error.status in NOT_DONE or (repeatable and error.status in MAYBE_DONE)
    if isinstance(error, UnreachableError):
        return repeatable or not error.sent
    return False
