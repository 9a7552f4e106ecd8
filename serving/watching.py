"""What is noted of a request while it is on its way, for metrics, logs and traces.

    with stage("ranker"):
        ...
    took("text_interest", started, seconds)     # by time.perf_counter

Both may be called by whatever runs for a request, in its thread; outside of one they do nothing.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from litestar import Response


class Took(NamedTuple):
    """A stage of a request: when it began, by time.perf_counter, and the seconds that it took."""

    stage: str
    began: float
    seconds: float


class Watched:
    """One request."""

    __slots__ = ("batch", "began", "candidates", "degraded", "items", "request_id", "stages", "status", "user_is_known")

    def __init__(self) -> None:
        self.request_id = uuid.uuid4().hex
        self.began = time.perf_counter()
        self.status = 0
        """Of the answer; 0 while there is none, and when the client went away before."""
        self.stages: list[Took] = []
        self.degraded: Sequence[str] = ()
        self.items: Sequence[Any] = ()
        """Those of the answer, best first."""
        self.candidates: tuple[int, int] | None = None
        """How many items the request named that the catalogue has, and that it has not; None: it named none."""
        self.user_is_known: bool | None = None
        """Whether the user has a history; None: nobody was named, or the store did not answer."""
        self.batch: int | None = None
        """Of the first request of a batch whose interest was scored together: how many these were."""


CURRENT: Final[ContextVar[Watched | None]] = ContextVar("recsys_watched", default=None)


def request_id() -> str:
    """Of the request on its way, so that its answer and what the log says of it have the same; else a new one."""
    watched = CURRENT.get()
    return uuid.uuid4().hex if watched is None else watched.request_id


def took(name: str, began: float, seconds: float) -> None:
    """Note a stage of the request on its way."""
    watched = CURRENT.get()
    if watched is not None:
        watched.stages.append(Took(name, began, seconds))


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Note the block as a stage, also when it fails."""
    began = time.perf_counter()
    try:
        yield
    finally:
        took(name, began, time.perf_counter() - began)


def note_candidates(known: int, unknown: int) -> None:
    """Note what the request on its way names; of several engines that are asked the last one counts."""
    watched = CURRENT.get()
    if watched is not None:
        watched.candidates = known, unknown


def note_user(*, is_known: bool) -> None:
    """Note whom the request on its way is for."""
    watched = CURRENT.get()
    if watched is not None:
        watched.user_is_known = is_known


def note_batch(requests: int) -> None:
    """Note that the request on its way was the first of so many whose interest was scored together."""
    watched = CURRENT.get()
    if watched is not None:
        watched.batch = requests


async def note_answer(response: Response[Any]) -> Response[Any]:
    """For `after_request` of the application: what an answer that has items says of itself, before it becomes JSON.

    Asynchronous, or Litestar would have a thread do it: of each request.
    """
    watched = CURRENT.get()
    if watched is not None:
        # The answers of all routes that order items have both; those of the others neither.
        watched.degraded = getattr(response.content, "degraded", ())
        watched.items = getattr(response.content, "items", ()) if hasattr(response.content, "degraded") else ()
    return response
