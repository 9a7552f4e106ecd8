"""What the description of the API leaves out of the types of the bodies: taken from the types that decode them.

Litestar describes neither the entries of a list nor that further fields are refused. msgspec, which decodes the bodies,
describes both.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Litestar
from litestar.openapi.spec import Schema

from serving.types import ExplainRequest, RankRequest, RecommendRequest, SimilarRequest, TrendingRequest

BODIES = (RankRequest, RecommendRequest, ExplainRequest, SimilarRequest, TrendingRequest)


def describe_bodies(app: Litestar) -> None:
    """Complete the description of the bodies, once for the application."""
    _, exact = msgspec.json.schema_components(BODIES)
    described = app.openapi_schema.components.schemas or {}
    for name, of_type in exact.items():
        schema = described.get(name)
        if schema is None:
            continue
        if of_type.get("additionalProperties") is False:
            schema.additional_properties = False
        for field, found in (schema.properties or {}).items():
            if isinstance(found, Schema):
                _complete(found, of_type["properties"][field])


def _complete(schema: Schema, exact: Mapping[str, Any]) -> None:
    """Of one field; one that may be null is one of several schemas."""
    branches = [schema, *(one for one in schema.one_of or () if isinstance(one, Schema))]
    (entries,) = [one["items"] for one in (exact, *exact.get("anyOf", ())) if "items" in one] or [{}]
    for branch in branches:
        if isinstance(branch.items, Schema):
            branch.items.min_length, branch.items.max_length = entries.get("minLength"), entries.get("maxLength")
        if "exclusiveMinimum" in exact:
            branch.exclusive_minimum = exact["exclusiveMinimum"]
