"""Which features a project has: the one place that knows, and all of it follows from recsys.toml.

features = FeatureSet.of_config(config)
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from features.families import FAMILIES
from features.families.family import Feature, Project
from features.field import Field
from features.fields import (
    AFFINITY_FIELDS,
    HISTORY_FIELDS,
    attribute_fields,
    exposure_fields,
    item_fields,
    user_fields,
)
from features.standing import STANDING_FEATURES
from features.topics import TOPIC_FEATURES
from recsys.attributes import AttributeKind
from recsys.config import Config
from recsys.errors import ConfigError


@dataclass(frozen=True)
class FeatureSet:
    """The columns of the feature store and of the ranker's matrix, in their order."""

    project: Project

    @classmethod
    def of(
        cls,
        types: Iterable[str],
        item_attributes: Mapping[str, AttributeKind] | None = None,
        user_attributes: Mapping[str, AttributeKind] | None = None,
    ) -> "FeatureSet":
        """Of a project with these interaction types and attributes.

        Raises ConfigError when two of them make columns of one name.
        """
        of_items, of_users = (sorted(named.items()) if named else [] for named in (item_attributes, user_attributes))
        found = cls(Project(tuple(sorted(types)), tuple(of_items), tuple(of_users)))
        for columns in (found.item_columns, found.row_columns, found.behaviour):
            if several := sorted(name for name, count in Counter(columns).items() if count > 1):
                names = [name for name, _ in of_items], [name for name, _ in of_users]
                raise ConfigError(
                    f"[interaction_types] {list(found.types)}, item_attributes {names[0]} and user_attributes "
                    f"{names[1]}: they make several columns of the name {several[0]}; rename one of them in "
                    "recsys.toml and in the logs"
                )
        return found

    @classmethod
    def of_config(cls, config: Config) -> "FeatureSet":
        """Of the project of a recsys.toml."""
        return cls.of(config.interaction_types, config.features.item_attributes, config.features.user_attributes)

    @property
    def types(self) -> tuple[str, ...]:
        """The interaction types, by name."""
        return self.project.types

    @cached_property
    def item_fields(self) -> tuple[Field, ...]:
        return item_fields(self.types)

    @cached_property
    def exposure_fields(self) -> tuple[Field, ...]:
        return exposure_fields(self.types)

    @cached_property
    def user_fields(self) -> tuple[Field, ...]:
        return user_fields(self.types)

    @property
    def history_fields(self) -> tuple[Field, ...]:
        return HISTORY_FIELDS

    @property
    def affinity_fields(self) -> tuple[Field, ...]:
        return AFFINITY_FIELDS

    @cached_property
    def attribute_fields(self) -> tuple[Field, ...]:
        return attribute_fields(self.project.user_attributes)

    @cached_property
    def item_columns(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.item_fields)

    @cached_property
    def exposure_columns(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.exposure_fields)

    @cached_property
    def user_columns(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.user_fields)

    @cached_property
    def history_columns(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.history_fields)

    @cached_property
    def affinity_columns(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.affinity_fields)

    @cached_property
    def attribute_columns(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.attribute_fields)

    @cached_property
    def list_columns(self) -> tuple[str, ...]:
        """Of the views of users that hold lists."""
        return (*self.history_columns, *self.affinity_columns)

    @cached_property
    def row_columns(self) -> tuple[str, ...]:
        """Of all views of users."""
        return (*self.user_columns, *self.list_columns, *self.attribute_columns)

    @cached_property
    def described(self) -> tuple[Feature, ...]:
        """The features of behaviour with their meaning, in the order of the columns of the matrix."""
        return tuple(feature for family in FAMILIES for feature in family.features(self.project))

    @cached_property
    def behaviour(self) -> tuple[str, ...]:
        """The columns of the matrix without a text model."""
        return tuple(feature.name for feature in self.described)

    def names(self, signals: Sequence[str] = ()) -> tuple[str, ...]:
        """The columns of the matrix: behaviour and, with a text model, the signals of its scorer and what they make."""
        return (*self.behaviour, *signals, *STANDING_FEATURES, *TOPIC_FEATURES) if signals else self.behaviour
