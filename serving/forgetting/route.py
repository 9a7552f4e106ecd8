"""The route that forgets a user: DELETE /v1/users/{user_id}/data."""

import asyncio
import sqlite3
from typing import Any, Final

from litestar import Request, delete
from litestar.connection import ASGIConnection
from litestar.exceptions import NotFoundException, ServiceUnavailableException
from litestar.params import FromPath

from recsys.errors import RecsysError
from serving import openapi
from serving.access import needs
from serving.events import NotStoredError
from serving.forgetting.types import ForgottenAnswer
from serving.keys import Scope
from serving.openapi import NOT_FORGOTTEN, NOT_FOUND, answered
from serving.paths import id_in_path, sent_behind
from serving.service import service_of

USERS: Final = "/v1/users/"
DATA: Final = "/data"
"""What stands before and behind a user in the address."""

LEFT: Final = ("bundles", "cache", "features", "tables")


@delete(
    "/v1/users/{user_id:str}/data",
    operation_id="forget_user",
    guards=[needs("admin")],
    status_code=200,
    responses={
        200: answered(ForgottenAnswer, openapi.FORGOTTEN_ANSWER),
        404: NOT_FOUND,
        503: NOT_FORGOTTEN,
    },
)
async def forget_user(user_id: FromPath[str], request: Request[Any, Any, Any]) -> ForgottenAnswer:
    """Remove all that servers have of a user, note it for what training has, and let nothing of before come back.

    Stop asking for the user first: what is asked or sent from now on is of somebody new. All processes answer without
    the user within seconds. What is in `left` is removed by `recsys forget --pending`, or by the next retraining.
    """
    return await forget(request)


async def forget(request: Request[Any, Any, Any]) -> ForgottenAnswer:
    """The same, of the user in the address as it was sent."""
    found = id_in_path(request, USERS, DATA)
    service = service_of(request)
    if found is None or service.forget is None:
        raise NotFoundException
    # What was shown a moment ago may still wait to be logged.
    await asyncio.wrap_future(service.event_log.submit(()))
    try:
        removed = await asyncio.to_thread(service.forget, [found])
    except NotStoredError:
        raise
    except (RecsysError, sqlite3.Error, OSError) as error:
        raise ServiceUnavailableException(
            f"not everything could be removed: {type(error).__name__}; the rest is noted, send it again or run "
            "`recsys forget --pending`",
            headers={"Retry-After": "1"},
        ) from error
    return ForgottenAnswer("forgotten", removed, list(LEFT))


def is_of_data(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether an address of a user goes on to what the log has of the user; a slash of the id itself is encoded."""
    return sent_behind(connection, USERS).endswith(DATA)


def scope_of_data(connection: ASGIConnection[Any, Any, Any, Any]) -> Scope | None:
    """What such a request needs; None of another one."""
    return "admin" if is_of_data(connection) else None
