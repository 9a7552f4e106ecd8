"""What a user did, as it is sent."""

import uuid
from datetime import datetime

from msgspec import Struct, field


def _new_id() -> str:
    return uuid.uuid4().hex


class Event(Struct, frozen=True, omit_defaults=True):
    """One interaction.

    The event_id is made here: an event that is sent twice, by the client's retries or by yours, is stored once.

    timestamp   with a zone; when the server receives it, if absent
    request_id  of the answer that showed the item
    value       price paid, rating, seconds read, …
    query       what the user had typed
    """

    user_id: str
    item_id: str
    event_type: str
    timestamp: datetime | None = None
    event_id: str = field(default_factory=_new_id)
    request_id: str | None = None
    value: float | None = None
    query: str | None = None
