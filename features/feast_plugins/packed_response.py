"""What a packed online store answers: columns and matrices at once, Feast's protobuf when somebody asks for it."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType

from features.feast_plugins.packed_row import FeastRows
from features.packed.answer import PackedAnswer, ViewRows


class PackedOnlineResponse(PackedAnswer[FeastRows], OnlineResponse):
    """An OnlineResponse that is fast to read with `column` and `matrix`; the rest of Feast's works as ever."""

    def __init__(
        self,
        entities: Mapping[str, Sequence[Any]],
        entity_types: Mapping[str, ValueType],
        views: Sequence[ViewRows[FeastRows]],
    ) -> None:
        # Not that of OnlineResponse: it wants the protobuf, which is slow to make and seldom looked at.
        PackedAnswer.__init__(self, entities, views)
        self._entity_types = entity_types
        self._feature_types = {
            name: view.rows.layout.value_types[of] for view in views for name, of in view.names.items()
        }

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
