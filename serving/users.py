"""The routes that change attributes of users: POST /v1/users and DELETE /v1/users/{user_id}."""

import asyncio
from typing import Annotated, Any

from litestar import Request, delete, post
from litestar.exceptions import NotFoundException
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath

from serving import openapi
from serving.access import needs
from serving.body import UsersBody
from serving.forgetting.route import forget, is_of_data, scope_of_data
from serving.forgetting.types import ForgottenAnswer
from serving.openapi import NOT_STORED, REFUSED, answered
from serving.paths import id_in_path
from serving.problems import nothing_stored
from serving.service import service_of
from serving.types import Refusal
from serving.user_types import UserResult, UsersAnswer, UserVersion


@post(
    "/v1/users",
    operation_id="users",
    guards=[needs("ingest")],
    dto=UsersBody,
    status_code=200,
    responses={200: answered(UsersAnswer, openapi.USERS_ANSWER), 400: REFUSED, 503: NOT_STORED},
)
async def users(
    data: Annotated[
        dict[str, UserVersion | Refusal],
        Body(examples=[Example(value=openapi.USER_BATCH), Example(value=openapi.USER)]),
    ],
    request: Request[Any, Any, Any],
) -> UsersAnswer:
    """Add or replace attributes of users: one user, or {"users": [user, …]}; all that was known before is replaced.

    There is one result for each user. "stored" means that the attributes are on the disk and that the next request
    goes by those that features.user_attributes names; a "refused" user is not stored and says why. If every user is
    refused the answer is 400.
    """
    accepted = [user for user in data.values() if isinstance(user, UserVersion)]
    results = [
        UserResult("refused", path=user.path, reason=user.reason)
        if isinstance(user, Refusal)
        else UserResult("stored", user.user_id)
        for user in data.values()
    ]
    if not accepted:
        raise nothing_stored([user for user in data.values() if isinstance(user, Refusal)], "user", results)
    await asyncio.wrap_future(service_of(request).event_log.submit_users(accepted))
    return UsersAnswer(results)


@delete(
    "/v1/users/{user_id:path}",
    operation_id="delete_user",
    guards=[needs("ingest", instead=scope_of_data)],
    status_code=200,
    responses={200: answered(UserResult, openapi.USER_DELETED), 503: NOT_STORED},
)
async def delete_user(user_id: FromPath[str], request: Request[Any, Any, Any]) -> UserResult | ForgottenAnswer:
    """Forget the attributes of a user, those of the users table as well; what the user did stays."""
    if is_of_data(request):
        # The router takes all that follows for the id, whatever routes there are: a slash of the id is encoded.
        return await forget(request)
    found = id_in_path(request, "/v1/users/")
    if found is None:
        raise NotFoundException
    await asyncio.wrap_future(service_of(request).event_log.submit_users([UserVersion(found, None)]))
    return UserResult("deleted", found)
