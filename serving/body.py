"""Request bodies: JSON, decoded once and strictly.

Litestar on its own decodes a body twice, takes "5" for 5 and answers text that is not UTF-8 or nested too deeply with
500. A handler says `dto=JsonBody[Type]` or, for events, `dto=EventsBody`.
"""

from typing import Any, Final, TypeVar

import msgspec
from litestar.dto import AbstractDTO
from litestar.openapi.spec import Reference, Schema
from litestar.params import BodyKwarg
from litestar.typing import FieldDefinition

from serving.problems import explain_decoding, invalid
from serving.types import Interaction, InteractionBatch, Refusal

MAX_EVENTS: Final = 1000
"""Events of one request: they share one transaction, which others wait for."""

T = TypeVar("T")
Raw = msgspec.Raw
_DECODING_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class JsonBody(AbstractDTO[T]):
    """Decodes a body into the type of the handler's `data`."""

    def decode_bytes(self, value: bytes) -> Any:
        return decode(value, self.model_type)

    @classmethod
    def create_for_field_definition(cls, *_: Any, **__: Any) -> None:
        """msgspec decodes into the type itself: there is no model in between to create."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        schema: Reference | Schema = schema_creator.for_field_definition(field_definition)
        return schema


class EventsBody(JsonBody[dict[str, Any]]):
    """One event or {"events": [event, …]}, as {path in the body: event}, in the order sent.

    A bad event becomes a Refusal and does not cost the good ones.
    """

    def decode_bytes(self, value: bytes) -> dict[str, Interaction | Refusal]:
        fields = decode(value, dict[str, Raw])
        if "events" not in fields:
            return {"$": _event(value, "$")}
        if unknown := fields.keys() - {"events"}:
            raise invalid(f"$.{min(unknown)}", "a field beside `events`; expected it inside of an event")
        events = decode(fields["events"], list[Raw], at="$.events")
        if not 1 <= len(events) <= MAX_EVENTS:
            raise invalid("$.events", f"{len(events)} events; expected 1 to {MAX_EVENTS} in a request")
        return {(at := f"$.events[{index}]"): _event(event, at) for index, event in enumerate(events)}

    @classmethod
    def create_openapi_schema(cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any) -> Schema:
        bodies = [FieldDefinition.from_annotation(body) for body in (Interaction, InteractionBatch)]
        body = field_definition.kwarg_definition
        examples = [example.value for example in (body.examples or ())] if isinstance(body, BodyKwarg) else None
        return Schema(one_of=[schema_creator.for_field_definition(body) for body in bodies], examples=examples)


def decode(value: bytes | Raw, body: type[T], *, at: str = "$") -> T:
    """A body, or the part of one that lies `at` this path. Raises the 400 that names the bad field."""
    try:
        return msgspec.json.decode(value, type=body)
    except _DECODING_ERRORS as error:
        raise invalid(*explain_decoding(error, at=at)) from error


def _event(value: bytes | Raw, at: str) -> Interaction | Refusal:
    try:
        return msgspec.json.decode(value, type=Interaction)
    except _DECODING_ERRORS as error:
        return Refusal(*explain_decoding(error, at=at))
