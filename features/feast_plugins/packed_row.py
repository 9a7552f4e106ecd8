"""Packed rows (features.packed) of Feast's values and to them, for every type that Feast has."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type
from feast.types import FeastType

from features.packed.layout import RowLayout, stamp_of
from features.packed.rows import PackedRows


class FeastLayout(RowLayout):
    """The layout of a view's rows, with the types as Feast has them."""

    def __init__(self, project: str, view: str, features: Sequence[tuple[str, FeastType]]) -> None:
        super().__init__(project, view, [(name, str(kind)) for name, kind in features])
        self.value_types: Final = {name: kind.to_value_type() for name, kind in features}

    def encode(self, values: Mapping[str, Value], event_timestamp: datetime) -> bytes:
        """The row of one entity. A naive timestamp is UTC.

        Raises ValueError when a feature of the view is not among the values, or is of another type than declared.
        """
        if missing := self.types.keys() - values.keys():
            raise ValueError(
                f"{self.view}: a row has no value for {sorted(missing)}; a packed row holds every feature of its view: "
                "write null for what is not known"
            )
        scalars = {}
        for name, field in self.scalars:
            found = values[name].WhichOneof("val")
            if found == field:
                scalars[name] = getattr(values[name], field)
            elif found not in (None, "null_val"):
                raise ValueError(f"{self.view}: {name} is {found}, expected {field} or null; convert it before writing")
        others = [
            b"" if values[name].WhichOneof("val") in (None, "null_val") else values[name].SerializeToString()
            for name in self.others
        ]
        return self.pack(stamp_of(event_timestamp), scalars, others)


@lru_cache(maxsize=1024)
def layout_of(project: str, view: str, features: tuple[tuple[str, FeastType], ...]) -> FeastLayout:
    """The layout of a view, computed once: a request would otherwise hash the schema again."""
    return FeastLayout(project, view, features)


class FeastRows(PackedRows):
    """Rows that Feast reads."""

    layout: FeastLayout

    def objects(self, name: str) -> list[Any]:
        """A feature that is no scalar, as the objects of Feast's `to_dict`; None for null."""
        kind = self.layout.value_types[name]
        return [feast_value_type_to_python_type(value, kind) for value in self.values(name)]

    def values(self, name: str) -> list[Value]:
        """One feature as Feast's values, (n_rows,)."""
        if name not in self.layout.place:
            return [Value.FromString(value) for value in self.serialised(name)]
        field, at = self.layout.place[name]
        numbers = self.head[field][:, at].tolist()
        return [
            Value(**{field: number}) if known else Value()
            for number, known in zip(numbers, self.known(name).tolist(), strict=True)
        ]
