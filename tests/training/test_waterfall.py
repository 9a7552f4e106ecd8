import numpy as np
import pytest

from recsys.retrieval import CandidateSet
from training.waterfall import waterfall


def candidates(*brought: tuple[int, str]) -> CandidateSet:
    """Items and the channels, by their first letters, that brought each."""
    names = ("repeat", "popular", "fresh")
    by = np.array([[name[0] in channels for name in names] for _, channels in brought])
    return CandidateSet(np.array([item for item, _ in brought]), by, names)


def test_each_channel_adds_what_none_before_it_brought_and_together_they_are_the_recall():
    first = candidates((0, "rp"), (1, "p"), (2, "pf"), (3, "f"), (4, "r"))
    second = candidates((5, "f"), (6, "p"))
    found = waterfall([first, second], [frozenset([0, 1, 2, 9]), frozenset([5])])
    # Of the first user 1 of 4 and 2 of 4, and 9 is no candidate; of the second all by the last.
    assert [step["channel"] for step in found] == ["repeat", "popular", "fresh"]
    assert [step["adds"] for step in found] == pytest.approx([1 / 8, 2 / 8, 1 / 2])


def test_a_user_of_whom_nothing_was_found_adds_nothing():
    found = waterfall([candidates((0, "r"))], [frozenset([5])])
    assert [step["adds"] for step in found] == [0.0, 0.0, 0.0]
