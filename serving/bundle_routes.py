"""The routes about model bundles: GET /v1/bundles, POST /v1/bundles/{bundle_id}/promote, POST /v1/bundles/rollback."""

import asyncio
from typing import Any

from litestar import Request, get, post
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import FromPath

from recsys.errors import BundleError, StoreError
from serving import openapi
from serving.access import needs
from serving.bundle_shelf import BundleShelf, NoSuchBundleError
from serving.bundle_types import BundlesAnswer, PromotedAnswer
from serving.openapi import NO_SUCH_BUNDLE, NOT_PROMOTED, NOT_READY, STORE_DOWN, answered
from serving.service import service_of

# In a thread: hashing the files of a bundle takes a good part of a second, and requests go on meanwhile.


@get(
    "/v1/bundles",
    operation_id="bundles",
    guards=[needs("admin")],
    responses={
        200: answered(BundlesAnswer, openapi.BUNDLES_ANSWER),
        404: NO_SUCH_BUNDLE,
        409: NOT_PROMOTED,
        503: NOT_READY,
    },
)
async def bundles(request: Request[Any, Any, Any]) -> BundlesAnswer:
    """List the bundles of this machine, and say which is champion, which a rollback goes back to, and which answers."""
    service = service_of(request)
    engine = service.ready_engine()
    try:
        lines = await asyncio.to_thread(_shelf(request).lines)
    except BundleError as error:
        raise _refused(error) from error
    refused = "what is new cannot be loaded; the log of the server says why" if service.bundle_refused else None
    return BundlesAnswer(engine.bundle_id, refused, lines)


@post(
    "/v1/bundles/{bundle_id:str}/promote",
    operation_id="promote_bundle",
    guards=[needs("admin")],
    status_code=200,
    responses={
        200: answered(PromotedAnswer, openapi.PROMOTED_ANSWER),
        404: NO_SUCH_BUNDLE,
        409: NOT_PROMOTED,
        503: STORE_DOWN,
    },
)
async def promote_bundle(bundle_id: FromPath[str], request: Request[Any, Any, Any]) -> PromotedAnswer:
    """Make a bundle the champion, if every file of it is whole and its features are those of this version.

    All servers of the project answer with it within seconds, from one request to the next.
    """
    shelf = _shelf(request)
    try:
        await asyncio.to_thread(shelf.promote, bundle_id)
        return PromotedAnswer(bundle_id, shelf.previous())
    except NoSuchBundleError as error:
        raise NotFoundException("there is no such bundle; GET /v1/bundles lists them") from error
    except BundleError as error:
        raise _refused(error) from error


@post(
    "/v1/bundles/rollback",
    operation_id="rollback_bundle",
    guards=[needs("admin")],
    status_code=200,
    responses={
        200: answered(PromotedAnswer, openapi.PROMOTED_ANSWER),
        404: NO_SUCH_BUNDLE,
        409: NOT_PROMOTED,
        503: STORE_DOWN,
    },
)
async def rollback_bundle(request: Request[Any, Any, Any]) -> PromotedAnswer:
    """Go back to the champion before this one, if it is whole; once more goes to the one before that."""
    shelf = _shelf(request)
    try:
        champion = await asyncio.to_thread(shelf.rollback)
        return PromotedAnswer(champion, shelf.previous())
    except BundleError as error:
        raise _refused(error) from error


def _shelf(request: Request[Any, Any, Any]) -> BundleShelf:
    shelf = service_of(request).shelf
    if shelf is None:
        raise NotFoundException("this server has no folder of bundles")
    return shelf


def _refused(error: BundleError) -> HTTPException:
    return HTTPException(str(error), status_code=503 if isinstance(error, StoreError) else 409)
