"""What a packed online store answers: columns and matrices at once, Feast's protobuf when somebody asks for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType

from features.feast_plugins.packed_row import PackedRows


@dataclass(frozen=True)
class ViewRows:
    """One view's part of an answer.

    names   name in the answer: name in the view
    rows    the distinct entities' rows
    index   which of them each row of the answer has: int64 (n,)
    """

    names: Mapping[str, str]
    rows: PackedRows
    index: np.ndarray


class PackedOnlineResponse(OnlineResponse):
    """An OnlineResponse that is fast to read with `column` and `matrix`; the rest of Feast's works as ever."""

    def __init__(
        self, entities: Mapping[str, Sequence[Any]], entity_types: Mapping[str, ValueType], views: Sequence[ViewRows]
    ) -> None:
        # Not super().__init__: it wants the protobuf, which is slow to make and seldom looked at.
        self._entities = entities
        self._entity_types = entity_types
        self._views = views
        self._view_of = {name: view for view in views for name in view.names}
        self._feature_types = {name: view.rows.layout.types[of] for view in views for name, of in view.names.items()}

    def column(self, name: str) -> np.ndarray:
        """One feature or join key of every row: (n,).

        Floats keep their type, null and not found are NaN; timestamps are datetime64[s] with NaT; integers and
        booleans are a masked array; a join key and anything else is an object array, with None for null.
        Raises KeyError for a name that was not asked for.
        """
        if name in self._entities:
            values = np.empty(len(self._entities[name]), dtype=object)
            values[:] = self._entities[name]
            return values
        view = self._view(name)
        column: np.ndarray = view.rows.column(view.names[name])[view.index]
        return column

    def matrix(self, names: Sequence[str], *, dtype: type[np.floating] = np.float32) -> np.ndarray:
        """Numeric features, in the order of `names`: dtype (n, k), NaN for null and not found.

        float32 is exact to 2**24: ask for np.float64 where integers or timestamps (seconds) are larger.
        Raises KeyError for a name that was not asked for, TypeError for a feature that is not a number.
        """
        n_rows = len(next(iter(self._entities.values())))
        matrix = np.empty((n_rows, len(names)), dtype=dtype)
        groups: dict[tuple[int, str], list[int]] = {}
        for at, name in enumerate(names):
            view = self._view(name)
            of = view.names[name]
            if of not in view.rows.layout.place:
                raise TypeError(f"{name} is {self._feature_types[name].name}, expected a number; use column({name!r})")
            groups.setdefault((id(view), view.rows.layout.place[of][0]), []).append(at)
        for (_, field), positions in groups.items():
            view = self._view_of[names[positions[0]]]
            features = [view.names[names[at]] for at in positions]
            columns = [view.rows.layout.place[feature][1] for feature in features]
            numbers = view.rows.head[field][:, columns].astype(dtype)
            if field not in ("float_val", "double_val"):
                numbers[~np.stack([view.rows.known(feature) for feature in features], axis=1)] = np.nan
            matrix[:, positions] = numbers[view.index]
        return matrix

    def found(self, name: str) -> np.ndarray:
        """Whether the view of a feature has a row for the entity: bool (n,)."""
        view = self._view(name)
        found: np.ndarray = view.rows.found[view.index]
        return found

    def _view(self, name: str) -> ViewRows:
        if name not in self._view_of:
            raise KeyError(f"{name!r} is not in this answer, expected one of {sorted(self._view_of)}")
        return self._view_of[name]

    @cached_property
    def proto(self) -> GetOnlineFeaturesResponse:  # type: ignore[override]  # an attribute of the base
        """The answer as Feast's stores give it."""
        answer = GetOnlineFeaturesResponse()
        for name, values in self._entities.items():
            protos = python_values_to_proto_values(list(values), self._entity_types.get(name, ValueType.UNKNOWN))
            self._add(answer, name, protos, [FieldStatus.PRESENT] * len(protos), [{}] * len(protos))
        for view in self._views:
            index = view.index.tolist()
            found = view.rows.found.tolist()
            stamps = [
                {"seconds": micros // 10**6, "nanos": micros % 10**6 * 1000} if there else {}
                for micros, there in zip(view.rows.microseconds(), found, strict=True)
            ]
            statuses = [FieldStatus.PRESENT if found[at] else FieldStatus.NOT_FOUND for at in index]
            for name, feature in view.names.items():
                values = view.rows.values(feature)
                self._add(answer, name, [values[at] for at in index], statuses, [stamps[at] for at in index])
        return answer

    @staticmethod
    def _add(
        answer: GetOnlineFeaturesResponse,
        name: str,
        values: Sequence[Value],
        statuses: Sequence[Any],
        stamps: Sequence[dict[str, int]],
    ) -> None:
        answer.metadata.feature_names.val.append(name)
        answer.results.add(values=values, statuses=statuses, event_timestamps=stamps)
