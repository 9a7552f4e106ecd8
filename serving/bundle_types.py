"""Bundles as they go over the wire."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct


class BundleLine(Struct, frozen=True):
    """A published bundle."""

    bundle_id: str
    champion: Annotated[bool, Meta(description="It is to serve")]
    previous: Annotated[bool, Meta(description="A rollback goes back to it")]
    created_at: datetime | None = None
    trained_until: datetime | None = None
    metric: Annotated[str, Meta(description="What `value` is, over all users of the test days")] | None = None
    value: float | None = None
    forgotten_users: Annotated[int, Meta(description="So many that it was trained with are forgotten since")] = 0
    problem: Annotated[str, Meta(description="Why nothing is said of it")] | None = None


class BundlesAnswer(Struct):
    """The bundles of a project."""

    serving: Annotated[str, Meta(description="The bundle that this process answers with")]
    refused: Annotated[str, Meta(description="Why it does not answer with the champion")] | None
    bundles: Annotated[list[BundleLine], Meta(description="The newest first")]


class PromotedAnswer(Struct):
    """Servers answer with the champion within seconds."""

    champion: str
    previous: Annotated[str, Meta(description="What a rollback goes back to")] | None
