"""Which features a project has: the one place that knows, and all of it follows from recsys.toml.

features = FeatureSet.of(config.interaction_types)
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from feast import Field

from features.families import FAMILIES
from features.families.family import Feature
from features.fields import HISTORY_FIELDS, item_fields, user_fields
from features.standing import STANDING_FEATURES
from features.topics import TOPIC_FEATURES
from recsys.errors import ConfigError


@dataclass(frozen=True)
class FeatureSet:
    """The columns of the feature store and of the ranker's matrix, in their order.

    types  the interaction types, by name
    """

    types: tuple[str, ...]

    @classmethod
    def of(cls, types: Iterable[str]) -> "FeatureSet":
        """Of a project with these interaction types; Raises ConfigError when two of them make columns of one name."""
        found = cls(tuple(sorted(types)))
        for columns in (found.item_columns, found.user_columns):
            if several := sorted(name for name, count in Counter(columns).items() if count > 1):
                raise ConfigError(
                    f"[interaction_types]: {list(found.types)} make several columns of the name {several[0]}; "
                    "rename one of them in recsys.toml and in the logs"
                )
        return found

    @cached_property
    def item_fields(self) -> tuple[Field, ...]:
        return item_fields(self.types)

    @cached_property
    def user_fields(self) -> tuple[Field, ...]:
        return user_fields(self.types)

    @property
    def history_fields(self) -> tuple[Field, ...]:
        return HISTORY_FIELDS

    @cached_property
    def item_columns(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.item_fields)

    @cached_property
    def user_columns(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.user_fields)

    @cached_property
    def history_columns(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.history_fields)

    @cached_property
    def described(self) -> tuple[Feature, ...]:
        """The features of behaviour with their meaning, in the order of the columns of the matrix."""
        return tuple(feature for family in FAMILIES for feature in family.features(self.types))

    @cached_property
    def behaviour(self) -> tuple[str, ...]:
        """The columns of the matrix without a text model."""
        return tuple(feature.name for feature in self.described)

    def names(self, signals: Sequence[str] = ()) -> tuple[str, ...]:
        """The columns of the matrix: behaviour and, with a text model, the signals of its scorer and what they make."""
        return (*self.behaviour, *signals, *STANDING_FEATURES, *TOPIC_FEATURES) if signals else self.behaviour
