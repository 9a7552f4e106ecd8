"""Where packed rows lie, as far as it is the same everywhere."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from features.packed.layout import RowLayout

Wanted = tuple[RowLayout, Sequence[bytes]]
"""Entity keys of one view."""


class RowsUnavailableError(Exception):
    """The rows cannot be reached, or not in time. The next call tries again."""


class RowsSchemaError(Exception):
    """There is no place for a view of this schema."""


class RowsPlace(Protocol):
    """Rows of many views and schemas."""

    def read(self, wanted: Sequence[Wanted]) -> list[list[bytes | None]]:
        """The rows of the entities wanted of each view, in this order, in one query a view or fewer; None where there
        is none. Raises RowsUnavailableError or RowsSchemaError.
        """
        ...

    def write(self, layout: RowLayout, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep each (key, row), unless the row there has a later event timestamp; on equal ones the later write wins.

        When this returns, the rows are kept; each entity changes at once. Raises RowsUnavailableError.
        """
        ...

    def create(self, layout: RowLayout) -> None:
        """Make place for the rows of a view, unless there is. Raises RowsUnavailableError."""
        ...

    def delete(self, project: str, view: str) -> None:
        """Delete the rows of a view, of whatever schema. Raises RowsUnavailableError."""
        ...

    def all_keys(self, project: str) -> Iterator[bytes]:
        """The key of every entity with a row in any view, of whatever schema: again for each of its views."""
        ...

    def delete_keys(self, project: str, keys: Sequence[bytes]) -> int:
        """Delete the rows of some entities in every view, of whatever schema; returns how many there were."""
        ...

    def overwrite_deleted(self) -> None:
        """Leave nothing of deleted rows where rows lie, as far as the store can. Raises RowsUnavailableError."""
        ...

    def close(self) -> None:
        """Close the connections; the next call opens them."""
        ...
