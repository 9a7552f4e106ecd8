"""Users whose attributes change: what goes over the wire and into the event log."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from serving.types import MAX_ENTRIES, Id


class User(Struct, kw_only=True):
    """A user as known from now on. Any further field is an attribute; recsys.toml says which the ranker reads."""

    user_id: Id


class UserBatch(Struct, forbid_unknown_fields=True):
    """Users that are stored together."""

    users: Annotated[list[User], Meta(min_length=1, max_length=MAX_ENTRIES)]


class UserResult(Struct, omit_defaults=True):
    """What became of one user. Stored and deleted: it is on the disk, and answers follow it. Refused: it is not."""

    status: Literal["stored", "deleted", "refused"]
    user_id: str | None = None
    path: str | None = None
    reason: str | None = None


class UsersAnswer(Struct):
    """One result for each user, in the order in which they were sent."""

    results: list[UserResult]


class UserVersion(Struct, frozen=True):
    """What a user is from a moment on."""

    user_id: str
    columns: dict[str, Any] | None
    """All attributes as they were sent; None: nothing is to be known of them any more."""
