"""The routes of a server as methods."""

import ssl
import time
from collections.abc import Mapping, Sequence
from itertools import count
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from recsys import __version__
from recsys.client.answers import (
    EventResult,
    ForgetResult,
    ItemResult,
    PagedAnswer,
    RankAnswer,
    RecommendAnswer,
    UserResult,
)
from recsys.client.errors import ClientError, ProblemError, UnreachableError, read_problem
from recsys.client.event import Event
from recsys.client.retries import Retries, may_try_again
from recsys.client.transport import Received, Transport

MAX_ENTRIES: Final = 1000
"""Events, items or users of one request; more are sent in several, one after the other."""

T = TypeVar("T")


class _Results(msgspec.Struct):
    results: list[Any]


class RecsysClient:
    """Asks one server; keep it, for it keeps its connections. For several threads.

    Every method raises ProblemError when the server answers with an error, and UnreachableError when it does not
    answer in time: have a list at hand to show then. It tries again where a second try can do no harm: after 429 and
    503, when the server was not reached, and when an answer was lost of what may be done twice (all but `rank`,
    `recommend`, `similar` and `trending` for a user: their answers are logged as shown).
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        try_timeout_s: float = 2.0,
        timeout_s: float = 5.0,
        retries: Retries | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """url            as in https://recsys.example, with a path in front of the routes if there is one
        key            of `recsys keys create`
        try_timeout_s  for one try
        timeout_s      for a call, with its retries and the pauses between them
        """
        headers = {"User-Agent": f"recsys-client/{__version__}", "Content-Type": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._transport = Transport(url, headers=headers, tls=tls)
        self._try_timeout_s, self._timeout_s = try_timeout_s, timeout_s
        self._retries = retries or Retries()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept."""
        self._transport.close()

    # Items for a user

    def rank(
        self,
        user_id: str,
        candidates: Sequence[str],
        *,
        limit: int | None = None,
        query: str | None = None,
        surface: str | None = None,
        filter: str | None = None,
        explain: bool | None = None,
        deadline_ms: float | None = None,
    ) -> RankAnswer:
        """The candidates in the order of the user's interest, or as answers to a query."""
        body = _given(
            user_id=user_id,
            candidates=list(candidates),
            limit=limit,
            query=query,
            surface=surface,
            filter=filter,
            explain=explain,
            deadline_ms=deadline_ms,
        )
        return self._post("/v1/rank", body, RankAnswer, repeatable=False)

    def recommend(
        self,
        user_id: str,
        *,
        limit: int | None = None,
        offset: int | None = None,
        page: str | None = None,
        exclude: Sequence[str] | None = None,
        exclude_seen: bool | None = None,
        channels: Sequence[str] | None = None,
        query: str | None = None,
        surface: str | None = None,
        filter: str | None = None,
        explain: bool | None = None,
        deadline_ms: float | None = None,
    ) -> RecommendAnswer:
        """Items of the whole catalogue; `page`, the next_page of an answer, goes on from there."""
        body = _given(
            user_id=user_id,
            limit=limit,
            offset=offset,
            page=page,
            exclude=None if exclude is None else list(exclude),
            exclude_seen=exclude_seen,
            channels=None if channels is None else list(channels),
            query=query,
            surface=surface,
            filter=filter,
            explain=explain,
            deadline_ms=deadline_ms,
        )
        return self._post("/v1/recommend", body, RecommendAnswer, repeatable=False)

    def explain(
        self,
        user_id: str,
        items: Sequence[str],
        *,
        query: str | None = None,
        surface: str | None = None,
        filter: str | None = None,
        deadline_ms: float | None = None,
    ) -> RankAnswer:
        """Why each of these items is where it is among all that the user could be recommended."""
        body = _given(
            user_id=user_id, items=list(items), query=query, surface=surface, filter=filter, deadline_ms=deadline_ms
        )
        return self._post("/v1/explain", body, RankAnswer)

    # Items for everybody

    def similar(
        self,
        item_id: str,
        *,
        user_id: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        page: str | None = None,
        exclude: Sequence[str] | None = None,
        surface: str | None = None,
        filter: str | None = None,
        deadline_ms: float | None = None,
    ) -> PagedAnswer:
        """Items like a given one; user_id: whom they are shown to, which is then logged."""
        body = _given(
            item_id=item_id,
            user_id=user_id,
            limit=limit,
            offset=offset,
            page=page,
            exclude=None if exclude is None else list(exclude),
            surface=surface,
            filter=filter,
            deadline_ms=deadline_ms,
        )
        return self._post("/v1/similar", body, PagedAnswer, repeatable=user_id is None)

    def trending(
        self,
        *,
        user_id: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        page: str | None = None,
        exclude: Sequence[str] | None = None,
        surface: str | None = None,
        filter: str | None = None,
        deadline_ms: float | None = None,
    ) -> PagedAnswer:
        """What more users than before choose just now; user_id: whom it is shown to, which is then logged."""
        asked = _given(
            user_id=user_id,
            limit=limit,
            offset=offset,
            page=page,
            exclude=None if exclude is None else list(exclude),
            surface=surface,
            filter=filter,
            deadline_ms=deadline_ms,
        )
        target = f"/v1/trending?{urlencode(asked, doseq=True)}" if asked else "/v1/trending"
        return self._ask("GET", target, None, PagedAnswer, "/v1/trending", repeatable=user_id is None)

    # What brings data in

    def send_events(self, events: Sequence[Event]) -> list[EventResult]:
        """Store what users did: a result for each, in this order; what is stored is on the server's disk.

        When it raises, some may be stored. Send the same Events again: each is stored once.
        """
        return self._send("/v1/events", "events", events, EventResult)

    def upsert_items(self, items: Sequence[Mapping[str, Any]]) -> list[ItemResult]:
        """Add or replace items: item_id, title and any further columns. The next request can rank them."""
        return self._send("/v1/items", "items", items, ItemResult)

    def delete_item(self, item_id: str) -> ItemResult:
        """Take an item out of every answer from now on. Raises ProblemError 404 when there is no such item."""
        return self._delete("/v1/items/", item_id, ItemResult)

    def upsert_users(self, users: Sequence[Mapping[str, Any]]) -> list[UserResult]:
        """Add or replace attributes of users: user_id and the attributes; all that was known before is replaced."""
        return self._send("/v1/users", "users", users, UserResult)

    def delete_user(self, user_id: str) -> UserResult:
        """Forget the attributes of a user; what the user did stays."""
        return self._delete("/v1/users/", user_id, UserResult)

    def forget_user(self, user_id: str, *, timeout_s: float = 60.0) -> ForgetResult:
        """Remove everything that servers have of a user; the key needs the scope admin. Ask for the user no more first.

        timeout_s  for the call and for one try: exported files are rewritten meanwhile
        """
        target = f"/v1/users/{quote(user_id, safe='')}/data"
        return self._ask("DELETE", target, None, ForgetResult, "/v1/users/…/data", repeatable=True, longer_s=timeout_s)

    # The server itself

    def ready(self) -> bool:
        """Whether it answers requests now; one try."""
        try:
            return self._try("GET", "/readyz", None, self._try_timeout_s).status == 200
        except UnreachableError:
            return False

    # How a call is made

    def _post(self, path: str, body: object, answer: type[T], *, repeatable: bool = True) -> T:
        return self._ask("POST", path, msgspec.json.encode(body), answer, path, repeatable=repeatable)

    def _delete(self, path: str, of: str, answer: type[T]) -> T:
        return self._ask("DELETE", path + quote(of, safe=""), None, answer, f"{path}…", repeatable=True)

    def _send(self, path: str, many: str, entries: Sequence[object], result: type[T]) -> list[T]:
        found: list[Any] = []
        for start in range(0, len(entries), MAX_ENTRIES):
            try:
                found += self._post(path, {many: entries[start : start + MAX_ENTRIES]}, _Results).results
            except ProblemError as error:
                # All of them are refused, and each says why.
                if error.problem.results is None:
                    raise
                found += error.problem.results
        return msgspec.convert(found, list[result])  # type: ignore[valid-type]  # a type that is a value

    def _ask(
        self,
        method: str,
        target: str,
        body: bytes | None,
        answer: type[T],
        shown: str,
        *,
        repeatable: bool,
        longer_s: float | None = None,
    ) -> T:
        """shown     the path without ids, for messages
        longer_s  for the call and for one try, instead of the times of this client
        """
        ends = time.monotonic() + (self._timeout_s if longer_s is None else longer_s)
        try_s = self._try_timeout_s if longer_s is None else longer_s
        for retry in count(1):
            failure: ClientError
            try:
                received = self._try(method, target, body, min(try_s, ends - time.monotonic()))
                if received.status == 200:
                    return _decoded(received, answer, f"{method} {shown}")
                problem = read_problem(received.status, received.phrase, received.body)
                failure = ProblemError(f"{method} {shown}", problem, retry_after_s=_retry_after(received))
            except UnreachableError as error:
                failure = error
            pause = self._retries.pause(retry)
            if isinstance(failure, ProblemError):
                pause = max(pause, failure.retry_after_s or 0.0)
            if (
                retry > self._retries.most
                or not may_try_again(failure, repeatable=repeatable)
                or time.monotonic() + pause >= ends
            ):
                raise failure
            time.sleep(pause)
        raise AssertionError("unreachable")

    def _try(self, method: str, target: str, body: bytes | None, timeout_s: float) -> Received:
        return self._transport.exchange(method, target, body, timeout_s=timeout_s)


def _given(**fields: Any) -> dict[str, Any]:
    """The fields that were given: for the others the server has its own values."""
    return {name: value for name, value in fields.items() if value is not None}


def _decoded(received: Received, answer: type[T], where: str) -> T:
    try:
        return msgspec.json.decode(received.body, type=answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ClientError(
            f"{where}: the answer is not that of a recsys server: {error}; look at the address"
        ) from error


def _retry_after(received: Received) -> float | None:
    """Seconds; a date, as some proxies send it, is passed over."""
    text = received.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None
