"""What was read of some entities: columns and matrices at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from features.packed.rows import PackedRows

R = TypeVar("R", bound=PackedRows)


@dataclass(frozen=True)
class ViewRows(Generic[R]):
    """One view's part of an answer.

    names   name in the answer: name in the view
    rows    the distinct entities' rows
    index   which of them each row of the answer has: int64 (n,)
    """

    names: Mapping[str, str]
    rows: R
    index: np.ndarray


class PackedAnswer(Generic[R]):
    """A row for each entity asked for."""

    def __init__(self, entities: Mapping[str, Sequence[Any]], views: Sequence[ViewRows[R]]) -> None:
        """`entities`: the values of each join key, (n,) each."""
        self._entities = entities
        self._views = views
        self._view_of = {name: view for view in views for name in view.names}

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
            of, layout = view.names[name], view.rows.layout
            if of not in layout.place:
                raise TypeError(f"{name} is {layout.types[of]}, expected a number; use column({name!r})")
            groups.setdefault((id(view), layout.place[of][0]), []).append(at)
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

    def _view(self, name: str) -> ViewRows[R]:
        if name not in self._view_of:
            raise KeyError(f"{name!r} is not in this answer, expected one of {sorted(self._view_of)}")
        return self._view_of[name]
