"""Items that change: what goes over the wire, into the event log and to the engine."""

from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta, Struct

from recsys.interest import Vectors
from recsys.schema import TITLE
from serving.types import MAX_ENTRIES, Id

Moment = Annotated[datetime, Meta(tz=True)]


class Item(Struct, kw_only=True):
    """An item as it is from now on. Any further field is a column of it, which the text model may read."""

    item_id: Id
    title: str
    description: str | None = None
    category: str | None = None
    brand: str | None = None
    price: float | None = None
    published_at: Annotated[Moment, Meta(description="RFC 3339 with a zone")] | None = None
    updated_at: Annotated[Moment, Meta(description="When it became so; now if absent")] | None = None


class ItemBatch(Struct, forbid_unknown_fields=True):
    """Items that are stored together."""

    items: Annotated[list[Item], Meta(min_length=1, max_length=MAX_ENTRIES)]


class ItemResult(Struct, omit_defaults=True):
    """What became of one item. Stored and deleted: it is on the disk, and answers follow it. Refused: it is not."""

    status: Literal["stored", "deleted", "refused"]
    item_id: str | None = None
    path: str | None = None
    reason: str | None = None


class ItemsAnswer(Struct):
    """One result for each item, in the order in which they were sent."""

    results: list[ItemResult]


class ItemVersion(Struct, frozen=True):
    """What an item is from a moment on."""

    item_id: str
    columns: dict[str, Any] | None
    """All but item_id as it was sent, title among them; None: the item is gone."""
    updated_at: datetime | None = None
    """None: now."""

    @property
    def title(self) -> str:
        return str((self.columns or {})[TITLE])


class ItemChange(NamedTuple):
    """A version that is on the disk, as the engine takes it."""

    sequence: int
    """Its place in the log. Of two versions of an item the later one counts, whichever comes first to the engine."""
    item: ItemVersion
    vector: Vectors | None
    """Unit vector of its text, float32 (d,); None when the item is gone."""
