import os
from pathlib import Path

import pytest

from recsys.errors import ConfigError
from serving.surfaces import SurfacesFile

PROJECT = """
name = "shop"
[source]
interactions = "events.csv"
[interaction_types]
purchase = { label = true }
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "recsys.toml"
    path.write_text(PROJECT)
    return path


def test_a_file_has_changed_when_it_is_another_than_the_one_that_was_read(path):
    file = SurfacesFile(path)
    assert file.has_changed()
    assert file.read() == {}
    assert not file.has_changed()
    path.write_text(PROJECT + "[surfaces.home]\nmax_per_category = 2\n")
    assert file.has_changed()
    assert file.read()["home"].max_per_category == 2
    assert not file.has_changed()


def test_a_file_that_cannot_be_read_is_refused_once_and_looked_at_again_when_it_changes(path):
    file = SurfacesFile(path)
    path.write_text(PROJECT + "[surfaces.home]\nfilter = 'price <'\n")
    with pytest.raises(ConfigError, match=r"recsys\.toml: 'price <', character 8"):
        file.read()
    assert not file.has_changed()
    path.unlink()
    assert file.has_changed()
    with pytest.raises(ConfigError, match="No such file"):
        file.read()
    assert not file.has_changed()


def test_items_of_a_file_are_excluded_as_well_and_a_change_of_it_is_a_change(path, tmp_path):
    listed = tmp_path / "hidden.txt"
    listed.write_text("b\n\n  c \n")
    path.write_text(PROJECT + "[surfaces.home]\nexclude = ['a']\nexclude_file = 'hidden.txt'\n")
    file = SurfacesFile(path)
    assert file.read()["home"].exclude == ["a", "b", "c"]
    assert not file.has_changed()
    # Replaced by one of the same length and moment, as a tool that writes beside it does.
    other = tmp_path / "other.txt"
    other.write_text("x\n\n  y \n")
    os.utime(other, ns=(0, listed.stat().st_mtime_ns))
    other.replace(listed)
    assert file.has_changed()
    assert file.read()["home"].exclude == ["a", "x", "y"]


def test_a_list_that_is_missing_is_named_and_waited_for(path, tmp_path):
    path.write_text(PROJECT + "[surfaces.home]\nexclude_file = 'hidden.txt'\n")
    file = SurfacesFile(path)
    with pytest.raises(ConfigError, match=r"\[surfaces.home\] exclude_file: .*hidden.txt.*an item_id a line"):
        file.read()
    assert not file.has_changed()
    (tmp_path / "hidden.txt").write_text("a\n")
    assert file.has_changed()
    assert file.read()["home"].exclude == ["a"]
