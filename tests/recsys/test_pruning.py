import os
from pathlib import Path

import pytest

from recsys.bundle import decision_path, list_bundles, promote, publish
from recsys.pruning import prune
from tests.recsys.test_bundle import manifest, two_files


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    """Made in the order of the alphabet; b is the champion, a was before."""
    for at, name in enumerate("abcde"):
        folder = publish(tmp_path, manifest(name), two_files)
        os.utime(folder / "manifest.json", (at, at))
    for name in "ab":
        promote(tmp_path, name)
    return tmp_path


def names(folder: Path) -> list[str]:
    return [path.name for path in list_bundles(folder)]


def test_the_newest_the_champion_and_the_one_before_stay_and_so_does_what_the_gate_said(bundles):
    for name in "bc":
        decision_path(bundles, name).write_text("{}")
    assert prune(bundles, keep=1) == ["c", "d"]
    assert [decision_path(bundles, name).exists() for name in "bc"] == [True, True]
    assert names(bundles) == ["a", "b", "e"]


def test_what_is_needed_stays(bundles):
    assert prune(bundles, keep=1, needed={"c"}) == ["d"]
    assert names(bundles) == ["a", "b", "c", "e"]


def test_the_champion_and_the_one_before_stay_even_when_nothing_else_does(bundles):
    assert prune(bundles, keep=0) == ["c", "d", "e"]
    assert names(bundles) == ["a", "b"]


def test_nothing_is_deleted_when_there_are_no_more_than_are_kept(bundles):
    assert prune(bundles, keep=5) == []
    assert prune(bundles / "none", keep=0) == []
    assert len(names(bundles)) == 5


def test_what_a_dead_process_left_half_deleted_goes_too(bundles):
    (bundles / "c").rename(bundles / ".deleting-c")
    prune(bundles, keep=5)
    assert not list(bundles.glob(".deleting-*"))
