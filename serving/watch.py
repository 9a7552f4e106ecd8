"""The middleware that follows each request from its route to the end of its answer."""

import logging
import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from serving.service import CALLER, Caller, Service
from serving.watching import CURRENT, Watched

REQUESTS: Final = logging.getLogger("recsys.requests")
"""A line for each request, where [serving] log_requests says so."""


Headers = Sequence[tuple[bytes, bytes]]


class Follower(Protocol):
    """Is told of each request when it is over (serving.tracing)."""

    def __call__(self, route: str, watched: Watched, seconds: float, headers: Headers) -> None: ...


class Watch:
    """For one thread. What no route answers, such as a path that there is not, is not followed."""

    def __init__(self, services: Sequence[Service], follower: Follower | None = None) -> None:
        """Requests without a key count for the service when it is the only one, and for none of several."""
        self.in_flight = 0
        self._alone = services[0] if len(services) == 1 else None
        self._logs = services[0].config.serving.log_requests
        self._follower = follower

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def watched_app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            watched = Watched()

            async def note_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    watched.status = message["status"]
                await send(message)

            token = CURRENT.set(watched)
            self.in_flight += 1
            try:
                await app(scope, receive, note_status)
            finally:
                self.in_flight -= 1
                CURRENT.reset(token)
                self._finish(scope, watched)

        return watched_app

    def _finish(self, scope: Any, watched: Watched) -> None:
        seconds = time.perf_counter() - watched.began
        # Not the path itself, which may hold the id of a user.
        route = f"{scope['method']} {scope['path_template']}"
        caller: Caller | None = scope["state"].get(CALLER)
        service = self._alone if caller is None else caller.service
        if service is not None:
            service.traffic.add(route, watched, seconds)
        if self._logs:
            REQUESTS.info(
                "%s: %d in %.1f ms",
                route,
                watched.status,
                seconds * 1000,
                extra={
                    "fields": {
                        "request_id": watched.request_id,
                        "route": route,
                        "status": watched.status,
                        "took_ms": round(seconds * 1000, 3),
                        "degraded": list(watched.degraded),
                    }
                },
            )
        if self._follower is not None:
            self._follower(route, watched, seconds, scope["headers"])
