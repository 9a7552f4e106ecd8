import polars as pl
import pytest

from features.daily.files import scan_partials, write_partials

A, B = pl.DataFrame({"name": ["a"]}), pl.DataFrame({"name": ["b"]})


def tables(path):
    found = scan_partials(path)
    return [frame.collect()["name"].to_list() for frame in (found.items, found.users, found.pairs, found.recent)]


def test_what_is_written_a_part_at_a_time_is_read_as_one(tmp_path):
    write_partials(tmp_path / "x" / "day", [(A, A, B, A), (A.clear(), B, B, B)])
    assert tables(tmp_path / "x" / "day") == [["a"], ["a", "b"], ["b", "b"], ["a", "b"]]


def test_a_folder_has_its_name_only_when_it_is_complete(tmp_path):
    def killed():
        yield A, A, A, A
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_partials(tmp_path / "day", killed())
    assert not (tmp_path / "day").exists()
    write_partials(tmp_path / "other", [(B, B, B, B)])
    assert tables(tmp_path / "other") == [["b"]] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
