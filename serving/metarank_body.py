"""The body of Metarank's /feedback: one event, a list of them, or one on each line."""

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.typing import FieldDefinition

from serving.body import JsonBody, decode, examples_of
from serving.metarank_types import Event
from serving.problems import explain_decoding, invalid
from serving.types import MAX_ENTRIES, Refusal


class FeedbackBody(JsonBody[dict[str, Any]]):
    """{path in the body: event, or a Refusal in the place of a bad one}, in the order sent."""

    def decode_bytes(self, value: bytes) -> dict[str, Any]:
        lines = [line for line in value.splitlines() if line.strip()]
        if value.lstrip()[:1] == b"[":
            return _all(decode(value, list[msgspec.Raw]), "$[{}]")
        if len(lines) > 1 and all(line.strip().startswith(b"{") and line.strip().endswith(b"}") for line in lines):
            return _all(lines, "$[{}]")
        return {"$": _event(value, "$")}

    @classmethod
    def create_openapi_schema(cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any) -> Schema:
        one = schema_creator.for_field_definition(FieldDefinition.from_annotation(Event))
        several = Schema(type=OpenAPIType.ARRAY, items=one, min_items=1, max_items=MAX_ENTRIES)
        return Schema(one_of=[one, several], examples=examples_of(field_definition))


def _all(events: Sequence[bytes | msgspec.Raw], at: str) -> dict[str, Any]:
    if not 1 <= len(events) <= MAX_ENTRIES:
        raise invalid("$", f"{len(events)} events; expected 1 to {MAX_ENTRIES} in a request")
    return {at.format(index): _event(event, at.format(index)) for index, event in enumerate(events)}


def _event(value: bytes | msgspec.Raw, at: str) -> Event | Refusal:
    try:
        event: Event = msgspec.json.decode(value, type=Event)
        return event
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Refusal(*explain_decoding(error, at=at))
