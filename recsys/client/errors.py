"""How a call can fail: the server answers with a problem, or it does not answer."""

from typing import Any

import msgspec

from recsys.errors import RecsysError

MAX_DETAIL = 300
"""Signs of an answer that is not ours, such as the page of a proxy."""


class ClientError(RecsysError):
    """A call to the server brought nothing."""


class UnreachableError(ClientError):
    """The server did not answer, or not in time.

    sent  whether it may have done what it was asked; False: it has not seen the request
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Problem(msgspec.Struct, frozen=True):
    """The application/problem+json of an answer (RFC 9457); `path` is the field to blame, as in $.candidates[3]."""

    title: str
    status: int
    detail: str
    path: str | None = None
    results: list[dict[str, Any]] | None = None
    """Of each event, item or user, when all of them were refused."""


class ProblemError(ClientError):
    """The server answered with an error."""

    def __init__(self, where: str, problem: Problem, *, retry_after_s: float | None = None) -> None:
        """where: METHOD PATH, without ids."""
        super().__init__(f"{where}: {problem.status} {problem.title}; {problem.detail}")
        self.problem = problem
        self.retry_after_s = retry_after_s

    @property
    def status(self) -> int:
        return self.problem.status


def read_problem(status: int, phrase: str, body: bytes) -> Problem:
    """Of an answer; what is not a problem, as of a proxy, becomes one."""
    try:
        return msgspec.json.decode(body, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Problem(phrase, status, body[:MAX_DETAIL].decode(errors="replace"))
