import numpy as np
import pytest

from recsys import text_neighbours
from recsys.text_neighbours import EVERYTHING, SHARPNESS, TextNeighbours

# On a circle at 0, 10, 25, 90 and 180 degrees.
DEGREES = np.array([0, 10, 25, 90, 180])
VECTORS = np.column_stack([np.cos(np.radians(DEGREES)), np.sin(np.radians(DEGREES))]).astype(np.float32)


def by_item(found: TextNeighbours) -> list[dict[int, float]]:
    return [
        dict(zip(near.tolist(), weight.tolist(), strict=True))
        for near, weight in zip(found.near, found.weight, strict=True)
    ]


def weight(one: int, other: int) -> object:
    return pytest.approx(
        np.exp(SHARPNESS * (np.cos(np.radians(DEGREES[one] - DEGREES[other])) - 1)), rel=1e-4, abs=1e-9
    )


def test_neighbours_are_the_nearest_others_with_weights_by_their_cosine(monkeypatch):
    monkeypatch.setattr(text_neighbours, "NEIGHBOURS", 2)
    found = TextNeighbours.of(VECTORS)
    nearest = [{1, 2}, {0, 2}, {1, 0}, {2, 1}, {3, 2}]
    assert by_item(found) == [{at: weight(row, at) for at in near} for row, near in enumerate(nearest)]
    assert (found.near.dtype, found.weight.dtype) == (np.int32, np.float32)


def test_with_few_items_all_others_are_neighbours():
    assert [set(row) for row in by_item(TextNeighbours.of(VECTORS))] == [set(range(5)) - {row} for row in range(5)]


@pytest.mark.parametrize("rows_at_once", [1, 2, 5])
def test_in_blocks_the_neighbours_are_the_same(monkeypatch, rows_at_once):
    whole = by_item(TextNeighbours.of(VECTORS))
    monkeypatch.setattr(text_neighbours, "ROWS_AT_ONCE", rows_at_once)
    for found, expected in zip(by_item(TextNeighbours.of(VECTORS)), whole, strict=True):
        assert found == pytest.approx(expected, abs=1e-6)


def test_the_neighbours_of_some_items_are_those_that_they_have_among_all():
    some = by_item(TextNeighbours.of_rows(VECTORS, np.array([3, 0]), count=1))
    assert some == [{2: weight(3, 2)}, {1: weight(0, 1)}]


def test_a_catalogue_of_one_item_has_no_neighbours_and_is_expected_to_be_like_the_average():
    found = TextNeighbours.of(VECTORS[:1])
    assert found.near.shape == found.weight.shape == (1, 0)
    assert found.smoothed(np.array([3.0])).tolist() == pytest.approx([3])


def test_a_value_is_smoothed_over_the_neighbours_and_a_little_over_everything():
    found = TextNeighbours(np.array([[1, 2], [0, 2], [0, 1]]), np.array([[1.0, 0.5], [1.0, 0.0], [0.0, 0.0]]))
    values = np.array([6.0, 3.0, 0.0])
    expected = [(3 + EVERYTHING * 3) / (1.5 + EVERYTHING), (6 + EVERYTHING * 3) / (1 + EVERYTHING), 3]
    assert found.smoothed(values).tolist() == pytest.approx(expected)
    assert found.smoothed(values, np.array([2, 0])).tolist() == pytest.approx([expected[2], expected[0]])


def test_neighbours_come_back_from_the_files_of_a_bundle_and_can_be_written_to_in_memory(tmp_path):
    TextNeighbours.of(VECTORS).save(tmp_path)
    for _ in range(2):
        found = TextNeighbours.load(tmp_path)
        assert by_item(found) == by_item(TextNeighbours.of(VECTORS))
        found.weight[:] = 0
