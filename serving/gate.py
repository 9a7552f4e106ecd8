"""Who a request is from: its key, the project that the key is for, and what the key may do.

A key comes as `Authorization: Bearer KEY` or as `X-API-Key: KEY`. The project that it belongs to is the only one that
the request can reach (serving.service.service_of).
"""

import logging
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Request
from litestar.exceptions import HTTPException

from serving.keys import DECOY, Limits, Scope, ShownKey, StoredKey
from serving.local import check_local
from serving.request_body import bound_body
from serving.service import CALLER, Caller, Service
from serving.token_bucket import TokenBucket

_LOG: Final = logging.getLogger(__name__)


class Gate:
    """Lets requests in, or raises what they are answered with: 401, 403, 413 or 429. For one thread."""

    def __init__(self, services: Sequence[Service]) -> None:
        """One service without keys is open to whoever reaches it; several are told apart by their keys."""
        self.services = tuple(services)
        self._buckets: dict[str, TokenBucket] = {}
        """By key_id."""
        self._confused: set[str] = set()
        self._is_open = len(self.services) == 1 and not self.services[0].keys

    @property
    def is_open(self) -> bool:
        """Whether requests need no key: until there is the first one, and never again."""
        self._is_open = self._is_open and not self.services[0].keys
        return self._is_open

    def admit(self, request: Request[Any, Any, Any], scope: Scope) -> None:
        """Put the Caller where `service_of` finds it."""
        for service in self.services:
            if service.keys is not None:
                service.keys.follow()
        if self.is_open:
            service = self.services[0]
            if service.keys is not None:
                check_local(request.headers, service.config.security.cors_origins)
            limits = Limits()
        else:
            service, key = self._owner(request.headers)
            limits = key.limits
            self._take_token(service, key)
            if scope not in key.scopes:
                raise _forbidden(key, scope)
        bound_body(request, limits.max_body_bytes or service.config.security.max_body_bytes)
        maximum = limits.max_candidates or service.config.serving.max_candidates
        request.scope["state"][CALLER] = Caller(service, maximum)

    def _owner(self, headers: Mapping[str, str]) -> tuple[Service, StoredKey]:
        """Whose valid key the request bears. Raises the 401."""
        text = _key_text(headers)
        if text is None:
            raise _unauthorized("there is no key; send one as `Authorization: Bearer KEY` or `X-API-Key: KEY`")
        shown = ShownKey.parse(text)
        if shown is None:
            raise _unauthorized(
                "what was sent is not a key; expected recsys_ID_SECRET as `recsys keys create` printed it", bad=True
            )
        found = [
            (service, key)
            for service in self.services
            if service.keys is not None and (key := service.keys.get(shown.key_id)) is not None
        ]
        if len(found) > 1:
            self._tell_confused(shown.key_id)
            found = []
        service, key = found[0] if found else (self.services[0], DECOY)
        if not key.opens_with(shown.secret) or not found:
            raise _unauthorized("no such key; `recsys keys list` shows which there are", bad=True)
        state = key.state(datetime.now(UTC))
        if state != "valid":
            raise _unauthorized(f"the key {key.key_id} is {state}; use its successor or a new one", bad=True)
        return service, key

    def _take_token(self, service: Service, key: StoredKey) -> None:
        """Raises the 429."""
        defaults = service.config.security
        per_second = key.limits.requests_per_second or defaults.requests_per_second
        burst = key.limits.burst or defaults.burst
        bucket = self._buckets.get(key.key_id)
        if bucket is None or (bucket.per_second, bucket.burst) != (per_second, burst):
            bucket = self._buckets[key.key_id] = TokenBucket(per_second, burst)
        wait = bucket.take()
        if wait:
            raise HTTPException(
                f"the key {key.key_id} sent more than {per_second:g} requests per second; try again after Retry-After",
                status_code=429,
                headers={"Retry-After": str(math.ceil(wait))},
            )

    def _tell_confused(self, key_id: str) -> None:
        """Once: a copied keys.json would otherwise open one project with the keys of another."""
        if key_id not in self._confused:
            self._confused.add(key_id)
            _LOG.error("the key %s is in the keys.json of several projects and opens none; revoke it in all", key_id)


def _key_text(headers: Mapping[str, str]) -> str | None:
    if (key := headers.get("x-api-key")) is not None:
        return key
    kind, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if kind.lower() == "bearer" else None


def _unauthorized(detail: str, *, bad: bool = False) -> HTTPException:
    """https://www.rfc-editor.org/rfc/rfc6750#section-3: an error is named only when there were credentials."""
    challenge = 'Bearer realm="recsys"' + (', error="invalid_token"' if bad else "")
    return HTTPException(detail, status_code=401, headers={"WWW-Authenticate": challenge})


def _forbidden(key: StoredKey, scope: Scope) -> HTTPException:
    challenge = f'Bearer realm="recsys", error="insufficient_scope", scope="{scope}"'
    return HTTPException(
        f"the key {key.key_id} has the scopes {sorted(key.scopes)}; this route needs {scope}",
        status_code=403,
        headers={"WWW-Authenticate": challenge},
    )
