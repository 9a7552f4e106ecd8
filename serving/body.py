"""Request bodies: JSON, decoded once and strictly.

Litestar on its own decodes a body twice, takes "5" for 5 and answers text that is not UTF-8 or nested too deeply with
500. A handler says `dto=JsonBody[Type]` or, for what may come one or many at once, `dto=EventsBody` or `ItemsBody`.
"""

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Final, TypeVar

import msgspec
from litestar.dto import AbstractDTO
from litestar.exceptions import ValidationException
from litestar.openapi.spec import Reference, Schema
from litestar.params import BodyKwarg
from litestar.typing import FieldDefinition

from recsys.schema import ITEM_ID, USER_ID
from serving.item_types import Item, ItemBatch, ItemVersion
from serving.problems import explain_decoding, invalid
from serving.types import MAX_ENTRIES, Interaction, InteractionBatch, Refusal
from serving.user_types import User, UserBatch, UserVersion

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


class OneOrManyBody(JsonBody[dict[str, Any]]):
    """One entry or {MANY: [entry, …]}, as {path in the body: entry}, in the order sent.

    A bad entry becomes a Refusal and does not cost the good ones.
    """

    many: ClassVar[str]
    bodies: ClassVar[tuple[type, type]]
    """Of one entry, and of many."""

    @staticmethod
    def entry(value: bytes | Raw) -> Any:
        """Decodes one entry; may raise what msgspec raises."""
        raise NotImplementedError

    def decode_bytes(self, value: bytes) -> dict[str, Any]:
        many = self.many
        fields, entries = self._split(value)
        if entries is None:
            return {"$": self._entry(value, "$")}
        if unknown := fields - {many}:
            raise invalid(f"$.{min(unknown)}", f"a field beside `{many}`; expected it inside of them")
        if not 1 <= len(entries) <= MAX_ENTRIES:
            raise invalid(f"$.{many}", f"{len(entries)} {many}; expected 1 to {MAX_ENTRIES} in a request")
        return {(at := f"$.{many}[{index}]"): self._entry(entry, at) for index, entry in enumerate(entries)}

    def _split(self, value: bytes) -> tuple[set[str], Sequence[bytes | Raw] | None]:
        """The names of the fields, and the entries where there are many. Raises the 400."""
        many = self.many
        try:
            fields = decode(value, dict[str, Raw])
            return set(fields), decode(fields[many], list[Raw], at=f"$.{many}") if many in fields else None
        except ValidationException:
            # Half a character of UTF-16, as of a text that was cut off, or NaN: many clients send them, and msgspec
            # then takes nothing of the body. Entry by entry it refuses those alone.
            try:
                found = json.loads(value)
            except (ValueError, RecursionError):
                found = None
            if not isinstance(found, dict) or not isinstance(found.get(many), list):
                raise
            return set(found), [json.dumps(entry).encode() for entry in found[many]]

    def _entry(self, value: bytes | Raw, at: str) -> Any:
        try:
            return self.entry(value)
        except _DECODING_ERRORS as error:
            return Refusal(*explain_decoding(error, at=at))

    @classmethod
    def create_openapi_schema(cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any) -> Schema:
        one, several = (
            schema_creator.for_field_definition(FieldDefinition.from_annotation(body)) for body in cls.bodies
        )
        # Of an entry that may have any field beside its own, this one is what tells a request of many.
        alone = Schema(all_of=[one], schema_not=Schema(required=[cls.many]))
        return Schema(one_of=[alone, several], examples=examples_of(field_definition))


class EventsBody(OneOrManyBody):
    """Interactions, or Refusals in their place."""

    many = "events"
    bodies = (Interaction, InteractionBatch)

    @staticmethod
    def entry(value: bytes | Raw) -> Interaction:
        return msgspec.json.decode(value, type=Interaction)


class ItemsBody(OneOrManyBody):
    """ItemVersions, or Refusals in their place."""

    many = "items"
    bodies = (Item, ItemBatch)

    @staticmethod
    def entry(value: bytes | Raw) -> ItemVersion:
        item = msgspec.json.decode(value, type=Item)
        columns = msgspec.json.decode(value, type=dict[str, Any])
        del columns[ITEM_ID]
        return ItemVersion(item.item_id, columns, item.updated_at)


class UsersBody(OneOrManyBody):
    """UserVersions, or Refusals in their place."""

    many = "users"
    bodies = (User, UserBatch)

    @staticmethod
    def entry(value: bytes | Raw) -> UserVersion:
        user = msgspec.json.decode(value, type=User)
        columns = msgspec.json.decode(value, type=dict[str, Any])
        del columns[USER_ID]
        return UserVersion(user.user_id, columns)


def examples_of(field_definition: FieldDefinition) -> list[Any] | None:
    """Those that a handler gives of its body."""
    body = field_definition.kwarg_definition
    return [example.value for example in (body.examples or ())] if isinstance(body, BodyKwarg) else None


def decode(value: bytes | Raw, body: type[T], *, at: str = "$") -> T:
    """A body, or the part of one that lies `at` this path. Raises the 400 that names the bad field."""
    try:
        return _decoded(value, body)
    except _DECODING_ERRORS as error:
        raise invalid(*explain_decoding(error, at=at)) from error


def _decoded(value: bytes | Raw, body: type[T]) -> T:
    try:
        return msgspec.json.decode(value, type=body)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
    # To JSON Schema 5.0 is a whole number, and some languages write all theirs so; to msgspec it is none.
    return msgspec.convert(_WHOLE.decode(value), type=body)


def _number(text: str) -> float:
    found = float(text)
    return int(found) if found.is_integer() else found


_WHOLE: Final = msgspec.json.Decoder(float_hook=_number)
