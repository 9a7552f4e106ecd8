from pathlib import Path

import polars as pl
import pytest

from features.daily.files import scan_partials, write_partials
from features.daily.partials import Partials

A, B = pl.DataFrame({"name": ["a"]}), pl.DataFrame({"name": ["b"]})
LAST = pl.DataFrame({"name": ["last"]})


def tables(*paths: Path) -> dict[str, list[str]]:
    found = scan_partials(paths, Partials(*[LAST.lazy()] * 4))
    frames = {"items": found.items, "users": found.users, "pairs": found.pairs, "events": found.events}
    return {name: frame.collect()["name"].to_list() for name, frame in frames.items()}


def test_what_is_written_a_part_at_a_time_is_read_in_its_order_and_the_rest_after_it(tmp_path):
    write_partials(tmp_path / "x" / "2", [{"items": A, "users": A}, {"items": A.clear(), "users": B}])
    write_partials(tmp_path / "x" / "1", [{"items": B, "events": B}])
    assert tables(tmp_path / "x" / "2", tmp_path / "x" / "1") == {
        "items": ["a", "b", "last"],
        "users": ["a", "b", "last"],
        "pairs": ["last"],
        "events": ["b", "last"],
    }


def test_a_folder_has_its_name_only_when_it_is_complete(tmp_path):
    def killed():
        yield {"items": A, "users": A}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_partials(tmp_path / "day", killed())
    assert not (tmp_path / "day").exists()
    write_partials(tmp_path / "day", [{"items": B}])
    assert tables(tmp_path / "day")["items"] == ["b", "last"]
    assert [path.name for path in tmp_path.iterdir()] == ["day"]
