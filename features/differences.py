"""Where two ways of making the same rows differ, value by value. The audits collect differences and show them here.

A row is named by its number in its window, never by its user: what is printed and written holds no personal data.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.recommender import Prepared
from recsys.catalogue import Catalogue
from recsys.state import Mask


@dataclass(frozen=True)
class Difference:
    """One value that came out in two ways.

    what      a feature, a column of the catalogue, or whatever else was compared
    row       the number of the user in the window, by id; None for what is not of a user
    item_id   None for what is not of an item
    found     the value as the engine has it; None: not known
    expected  as it should be
    """

    what: str
    row: int | None
    item_id: str | None
    found: float | str | None
    expected: float | str | None

    def __str__(self) -> str:
        of = [f"row {self.row}"] * (self.row is not None) + [f"item {self.item_id}"] * (self.item_id is not None)
        return f"{', '.join([self.what, *of])}: found {self.found}, expected {self.expected}"


def row_differences(
    row: int, found: Prepared, expected: Prepared, names: Sequence[str], item_ids: Sequence[str]
) -> Iterator[Difference]:
    """Of a user's candidates the first place that differs, and of each feature the first candidate that both have."""
    ours, theirs = ([item_ids[at] for at in one.candidates.positions.tolist()] for one in (found, expected))
    if ours != theirs:
        size = min(len(ours), len(theirs))
        place = next((at for at in range(size) if ours[at] != theirs[at]), size)
        yield Difference("candidates", row, None, *("".join(ids[place : place + 1]) or None for ids in (ours, theirs)))
    _, left, right = np.intersect1d(
        found.candidates.positions, expected.candidates.positions, assume_unique=True, return_indices=True
    )
    one, other = found.matrix[left], expected.matrix[right]
    differs = (one != other) & ~(np.isnan(one) & np.isnan(other))
    yield from matrix_differences(row, one, other, differs, names, [ours[at] for at in left])


def matrix_differences(
    row: int,
    found: NDArray[np.float32],
    expected: NDArray[np.float32],
    differs: Mask,
    names: Sequence[str],
    item_ids: Sequence[str],
) -> Iterator[Difference]:
    """Of each feature the first candidate at which two matrices (n_candidates, n_features) differ.

    differs   bool, of the same shape
    item_ids  of the candidates
    """
    for column in np.flatnonzero(differs.any(axis=0)).tolist():
        at = int(differs[:, column].argmax())
        yield Difference(names[column], row, item_ids[at], *(float(of[at, column]) for of in (found, expected)))


def catalogue_differences(found: Catalogue, expected: Catalogue) -> Iterator[Difference]:
    """Every value of an item that differs; of other items only how many there are."""
    if found.item_ids != expected.item_ids:
        yield Difference("items of the catalogue", None, None, f"{len(found)} items", f"{len(expected)} others")
        return
    for column in expected.table.columns:
        ours, theirs = found.table[column], expected.table[column]
        for at in ours.ne_missing(theirs).arg_true().to_list():
            values = (None if value is None else str(value) for value in (ours[at], theirs[at]))
            yield Difference(f"{column} of the catalogue", None, expected.item_ids[at], *values)
