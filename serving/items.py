"""The routes that change items while the server answers: POST /v1/items and DELETE /v1/items/{item_id}."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import unquote

from litestar import Request, delete, post
from litestar.exceptions import NotFoundException
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath

from serving import openapi
from serving.access import needs
from serving.body import ItemsBody
from serving.feedback import MAX_AHEAD
from serving.item_types import ItemChange, ItemResult, ItemsAnswer, ItemVersion
from serving.methods import check_method
from serving.openapi import IMPOSSIBLE, NO_SUCH_ITEM, REFUSED, UNAVAILABLE, answered
from serving.problems import nothing_stored
from serving.service import Service, service_of
from serving.types import Refusal

# First encoded, then stored, then followed: what is stored can be ranked, and what is ranked is on the disk. Requests
# that change one item at once are followed in the order in which the log has them.


@post(
    "/v1/items",
    operation_id="items",
    guards=[needs("ingest")],
    dto=ItemsBody,
    status_code=200,
    responses={
        200: answered(ItemsAnswer, openapi.ITEMS_ANSWER),
        400: REFUSED,
        422: IMPOSSIBLE,
        503: UNAVAILABLE,
    },
)
async def items(
    data: Annotated[
        dict[str, ItemVersion | Refusal],
        Body(examples=[Example(value=openapi.ITEM_BATCH), Example(value=openapi.ITEM)]),
    ],
    request: Request[Any, Any, Any],
) -> ItemsAnswer:
    """Add or replace items: one item, or {"items": [item, …]}; any field beside those listed is a column of its own.

    There is one result for each item. "stored" means that the item is on the disk and that the next request can rank
    and recommend it; a "refused" item is not stored and says why. If every item is refused the answer is 400 where one
    of them is not as described here, else 422: they are of the future.
    """
    service = service_of(request)
    service.ready_engine()
    checked = [_check(item, at) for at, item in data.items()]
    accepted = [item for item in checked if isinstance(item, ItemVersion)]
    results = [
        ItemResult("refused", path=item.path, reason=item.reason)
        if isinstance(item, Refusal)
        else ItemResult("stored", item.item_id)
        for item in checked
    ]
    if not accepted:
        raise nothing_stored([item for item in checked if isinstance(item, Refusal)], "item", results)
    await store_items(service, accepted)
    return ItemsAnswer(results)


@delete(
    "/v1/items/{item_id:path}",
    operation_id="delete_item",
    guards=[needs("ingest")],
    status_code=200,
    responses={200: answered(ItemResult, openapi.DELETED), 404: NO_SUCH_ITEM, 503: UNAVAILABLE},
)
async def delete_item(item_id: FromPath[str], request: Request[Any, Any, Any]) -> ItemResult:
    """Take an item out: it is not recommended any more, and ranking does not know it. It may come back as a new one."""
    check_method(request)
    service = service_of(request)
    engine = service.ready_engine()
    # As it was sent: Litestar's own value has lost doubled and last slashes, and is decoded twice.
    item_id = unquote(request.scope["raw_path"].partition(b"/v1/items/")[2].decode())
    if not engine.has_item(item_id):
        raise NotFoundException("the catalogue has no such item; nothing was deleted")
    gone = ItemVersion(item_id, None)
    (sequence,) = await asyncio.wrap_future(service.event_log.submit_items([gone]))
    for engine in service.engines():
        engine.apply_items([ItemChange(sequence, gone, None)])
    return ItemResult("deleted", item_id)


async def store_items(service: Service, items: Sequence[ItemVersion]) -> None:
    """Once this returns they are on the disk, and every engine follows them. Raises the 503 while there is none."""
    engines = service.engines()
    # In a thread: encoding many takes seconds, and ONNX Runtime lets others run meanwhile.
    encoded = [await asyncio.to_thread(engine.encode_items, items) for engine in engines]
    sequences = await asyncio.wrap_future(service.event_log.submit_items(items))
    for engine, vectors in zip(engines, encoded, strict=True):
        engine.apply_items(list(map(ItemChange, sequences, items, vectors)))


def _check(item: ItemVersion | Refusal, at: str) -> ItemVersion | Refusal:
    """What an item's own type cannot check."""
    now = datetime.now(UTC)
    if isinstance(item, ItemVersion) and item.updated_at is not None and item.updated_at > now + MAX_AHEAD:
        return Refusal(
            f"{at}.updated_at",
            f"in the future; expected at most a day after {now.isoformat(timespec='seconds')}",
            malformed=False,
        )
    return item
