"""The items as they are known at a moment: one version of each, in the order of their ids.

catalogue = Catalogue.load(workspace, as_of=config.split.test_start)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import polars as pl

from recsys.attributes import AttributeKind, Attributes
from recsys.schema import CATEGORY, ITEM_ID, UPDATED_AT
from recsys.state import Floats, Positions
from recsys.workspace import Workspace


@dataclass(frozen=True)
class Catalogue:
    """The items of a moment.

    item_ids  sorted; an item's position in it is its row everywhere (vectors, matrices)
    index     item_id → position
    table     the items table in that order, one version of each item
    versions  the items table with every version up to the moment, and the first of each item in any case
    numbers   how attributes of the items become numbers; None: they do not
    of_users  the same of the users whom the items are ranked for
    """

    item_ids: list[str]
    index: dict[str, int]
    table: pl.DataFrame
    versions: pl.DataFrame
    numbers: Attributes | None = None
    of_users: Attributes | None = None

    @classmethod
    def load(cls, items: Workspace | pl.DataFrame, as_of: datetime | None = None) -> "Catalogue":
        """The catalogue of a project or of an items table.

        An item is shown in its last version with updated_at < as_of; one that has none as yet in its first version.
        A version without updated_at was always there. as_of without a zone is UTC; None: the latest version of each.
        """
        table = items.read_table("items") if isinstance(items, Workspace) else items
        if UPDATED_AT in table.columns:
            table = table.sort(ITEM_ID, UPDATED_AT, nulls_last=False, maintain_order=True)
            if as_of is not None:
                as_of = as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)
                is_first = pl.col(ITEM_ID).is_first_distinct()
                table = table.filter(is_first | (pl.col(UPDATED_AT) < as_of))
        versions = table
        table = table.unique(ITEM_ID, keep="last", maintain_order=True).sort(ITEM_ID)
        item_ids = table.get_column(ITEM_ID).to_list()
        return cls(item_ids, {item_id: at for at, item_id in enumerate(item_ids)}, table, versions)

    def at(self, as_of: datetime) -> "Catalogue":
        """The same items as they were known at an earlier moment."""
        return replace(Catalogue.load(self.versions, as_of), numbers=self.numbers, of_users=self.of_users)

    def with_attributes(self, kinds: Mapping[str, AttributeKind]) -> "Catalogue":
        """The same, with attributes as numbers. Raises DataError when a column is missing."""
        return replace(self, numbers=Attributes.of(kinds, self.table))

    def with_users(self, kinds: Mapping[str, AttributeKind], users: pl.DataFrame | None) -> "Catalogue":
        """The same, with attributes of users as numbers if there are any. Raises DataError when a column is missing."""
        if users is None:
            return self
        return replace(self, of_users=Attributes.of(kinds, users, table="users"))

    def attributes_at(self, as_of: datetime | None) -> Floats | None:
        """Of each item as it was then (None: as it is) its attributes: float64 (n_items, n_attributes)."""
        if self.numbers is None:
            return None
        found = np.full((len(self), len(self.numbers.kinds)), np.nan)
        then = self if as_of is None else self.at(as_of)
        found[[self.index[item] for item in then.table[ITEM_ID]]] = self.numbers.of_table(then.table)
        return found

    @cached_property
    def category_index(self) -> dict[str, int]:
        """category → its position among the categories of every version, by name."""
        if CATEGORY not in self.versions.columns:
            return {}
        names = self.versions[CATEGORY].drop_nulls().unique().sort().to_list()
        return {name: at for at, name in enumerate(names)}

    @cached_property
    def category_of(self) -> dict[str, str]:
        """item_id → category, of the items that have one."""
        if CATEGORY not in self.table.columns:
            return {}
        return dict(self.table.select(ITEM_ID, CATEGORY).drop_nulls().iter_rows())

    def categories_at(self, as_of: datetime | None) -> Positions:
        """The place in category_index of each item as it was then, None: as it is; int64 (n_items,), -1 without one."""
        found = np.full(len(self), -1, dtype=np.int64)
        then = self if as_of is None or not self.category_index else self.at(as_of)
        for item, category in then.category_of.items():
            found[self.index[item]] = self.category_index[category]
        return found

    @property
    def seen_until(self) -> datetime | None:
        """When the latest version took the place of an earlier one; None when every item is in its first."""
        if UPDATED_AT not in self.versions.columns:
            return None
        later = self.versions.filter(~pl.col(ITEM_ID).is_first_distinct())
        found = later[UPDATED_AT].max()
        return found if isinstance(found, datetime) else None

    def __len__(self) -> int:
        return len(self.item_ids)
