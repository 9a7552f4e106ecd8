from datetime import date
from pathlib import Path

import polars as pl
import pytest

from features.daily.log import DailyLog
from tests.features.daily.cases import events
from tests.features.log import MICROSECOND, day

ROWS = events(("ann", "tea", 1), ("bob", "cup", day(2) - MICROSECOND), ("ann", "jam", 2), ("cat", "tea", 5.5))


def content(daily: DailyLog) -> dict[str, list[str]]:
    return {str(found): daily.scan(found).collect()["item_id"].to_list() for found in daily.days()}


@pytest.mark.parametrize("rows", [ROWS, ROWS.lazy()], ids=["frame", "lazy"])
def test_each_interaction_lies_in_the_folder_of_its_day(tmp_path, rows):
    daily = DailyLog(tmp_path)
    assert daily.write(rows) == [date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 6)]
    assert content(daily) == {"2024-01-02": ["tea", "cup"], "2024-01-03": ["jam"], "2024-01-06": ["tea"]}
    assert pl.read_parquet(tmp_path / "day=2024-01-02" / "events.parquet", hive_partitioning=False).equals(ROWS[:2])


def test_a_part_takes_its_own_place_and_stands_after_the_parts_before_it_by_name(tmp_path):
    daily = DailyLog(tmp_path)
    daily.write(events(("ann", "tea", 1)), part="b")
    daily.write(events(("ann", "cup", 1), ("ann", "jam", 1)), part="a")
    daily.write(events(("ann", "cup", 1)), part="a")
    assert daily.scan(date(2024, 1, 2)).select("position", "item_id").collect().rows() == [(0, "cup"), (1, "tea")]


def test_late_interactions_change_the_version_of_their_day_alone(tmp_path):
    daily = DailyLog(tmp_path)
    days = daily.write(ROWS)
    before = [daily.version(found) for found in days]
    daily.write(events(("dan", "cup", 2)), part="late")
    assert [daily.version(found) == version for found, version in zip(days, before, strict=True)] == [True, False, True]


def test_a_log_without_interactions_has_no_days(tmp_path):
    assert DailyLog(tmp_path / "nowhere").days() == []
    assert DailyLog(tmp_path).write(events()) == []
    (tmp_path / "day=2024-01-02").mkdir()
    assert DailyLog(tmp_path).days() == []


def test_a_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    daily = DailyLog(tmp_path)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            daily.write(ROWS)
    assert daily.days() == []
    daily.write(ROWS)
    assert len(daily.days()) == 3
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".parquet"]


def files(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.*")}


def test_a_log_holds_what_it_is_told_to_in_the_order_of_time(tmp_path):
    daily = DailyLog(tmp_path)
    assert daily.hold(ROWS.reverse()) == [date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 6)]
    assert content(daily) == {"2024-01-02": ["tea", "cup"], "2024-01-03": ["jam"], "2024-01-06": ["tea"]}
    assert daily.hold(events()) == [date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 6)]
    assert daily.days() == []


def test_files_of_days_that_are_as_they_were_are_left_alone(tmp_path):
    daily = DailyLog(tmp_path)
    daily.hold(ROWS)
    before = files(tmp_path)
    assert daily.hold(ROWS) == []
    longer = pl.concat([ROWS, events(("ann", "tea", 2.5), ("ann", "tea", 7))])
    assert daily.hold(longer.filter(pl.col("user_id") != "cat")) == [
        date(2024, 1, 3),
        date(2024, 1, 6),
        date(2024, 1, 8),
    ]
    after = files(tmp_path)
    assert {name.partition("/")[0] for name, _ in before.items() & after.items()} == {"day=2024-01-02"}
    assert content(daily) == {"2024-01-02": ["tea", "cup"], "2024-01-03": ["jam", "tea"], "2024-01-08": ["tea"]}


def test_a_part_that_a_killed_process_left_is_not_held(tmp_path):
    daily = DailyLog(tmp_path)
    daily.hold(ROWS)
    daily.write(events(("ann", "jam", 1)), part="left")
    (tmp_path / "day=2024-01-03" / "half.tmp").write_bytes(b"half")
    assert daily.hold(ROWS) == [date(2024, 1, 2)]
    assert content(daily)["2024-01-02"] == ["tea", "cup"]
