"""What the description of the API says of the types of the bodies: taken from the types that decode them.

Litestar describes neither the entries of a list, nor that further fields are refused, nor what tells the events of a
union apart. msgspec, which decodes the bodies, describes all of it.
"""

from typing import Any

import msgspec
from litestar import Litestar

from serving.item_types import Item, ItemBatch
from serving.metarank_types import Event, Ranking
from serving.types import (
    ExplainRequest,
    Interaction,
    InteractionBatch,
    RankRequest,
    RecommendRequest,
    SimilarRequest,
    TrendingRequest,
)
from serving.user_types import User, UserBatch

BODIES = (
    *(RankRequest, RecommendRequest, ExplainRequest, SimilarRequest, TrendingRequest),
    *(Interaction, InteractionBatch, Item, ItemBatch, User, UserBatch, Ranking, Event),
)


def describe_bodies(app: Litestar) -> None:
    """Take msgspec's description of the bodies in the place of Litestar's, once for the application."""
    _, exact = msgspec.json.schema_components(BODIES, ref_template="#/components/schemas/{name}")
    described: dict[str, Any] = app.openapi_schema.components.schemas or {}
    described.update(exact)
