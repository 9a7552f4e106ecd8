"""What goes over the wire when a user is forgotten."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class ForgottenAnswer(Struct, frozen=True):
    """Servers have nothing of the user any more, or will not within seconds."""

    status: Literal["forgotten"]
    removed: Annotated[dict[str, int], Meta(description="Rows of each place that are gone")]
    left: Annotated[
        list[str], Meta(description="What `recsys forget --pending`, or else the next retraining, does the same to")
    ]
