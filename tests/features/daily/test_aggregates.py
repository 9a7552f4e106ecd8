import re
from datetime import timedelta
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from features.daily.aggregates import DailyAggregates
from features.daily.log import DailyLog
from recsys.errors import DataError, FeatureStoreError
from tests.features.daily.cases import WEIGHTS, aggregates_in, assert_views, events, state_of, views_of
from tests.features.log import MICROSECOND, day

# Ann takes tea every day; nothing happens on day 4.
ROWS = events(*(("ann", "tea", number + 0.5) for number in (0, 1, 2, 3, 5, 6)), ("bob", "cup", 3), ("cat", "jam", 6))


@pytest.fixture(autouse=True)
def merges(monkeypatch):
    """Days are summed from the third on, whoever is in the first buckets."""
    monkeypatch.setattr("features.daily.aggregates.MERGE_DAYS", 3)
    monkeypatch.setattr("features.daily.aggregates.SAMPLED_KEYS", 1 << 64)


def assert_same_state(left: DailyAggregates, right: DailyAggregates) -> None:
    """But for the versions, which tell files of other times apart."""
    found, expected = (
        {re.sub("-[0-9a-f]{16}", "", place): frame for place, frame in state_of(of).items()} for of in (left, right)
    )
    assert found.keys() == expected.keys()
    for place, frame in found.items():
        assert_frame_equal(frame, expected[place])


def merged_in(aggregates: DailyAggregates) -> list[str]:
    return sorted(path.name[:10] for path in aggregates.folder.glob("merged/*"))


def test_each_day_is_computed_once(tmp_path):
    aggregates = aggregates_in(tmp_path, ROWS)
    assert [aggregates.update(day(until)) for until in (0, 0.9, 1, 4, 5, 6, 6.9, 6.9)] == [0, 0, 1, 3, 0, 1, 0, 0]
    assert aggregates.update(day(7) - MICROSECOND) == 0
    assert aggregates.update(day(7)) == 1
    assert aggregates.update(day(100)) == 0


def test_a_second_run_changes_no_file(tmp_path):
    aggregates = aggregates_in(tmp_path, ROWS)
    aggregates.update(day(7))
    before = {path: path.stat().st_mtime_ns for path in aggregates.folder.rglob("*")}
    again = DailyAggregates(aggregates.log, aggregates.folder, WEIGHTS)
    assert again.update(day(7)) == 0
    assert {path: path.stat().st_mtime_ns for path in aggregates.folder.rglob("*")} == before


def test_day_by_day_comes_to_the_same_days_as_all_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("features.daily.aggregates.MERGE_DAYS", 100)
    slowly, at_once = (aggregates_in(tmp_path / name, ROWS) for name in ("slowly", "at once"))
    assert sum(slowly.update(day(until)) for until in range(8)) == at_once.update(day(7)) == 6
    assert_same_state(slowly, at_once)


def test_days_are_summed_when_that_halves_the_rows(tmp_path):
    aggregates = aggregates_in(tmp_path, ROWS)
    aggregates.update(day(2))
    assert merged_in(aggregates) == []  # two days are read about as fast one by one
    aggregates.update(day(3))
    assert merged_in(aggregates) == ["2024-01-04"]  # three rows of Ann and tea are one
    aggregates.update(day(7))
    assert merged_in(aggregates) == ["2024-01-04", "2024-01-08"]  # six of the sum and three days are three
    users = aggregates.between(None, day(7)).users.collect()
    assert sorted(users.select("user_id", "occasions").rows()) == [("ann", 6), ("bob", 1), ("cat", 1)]


def test_days_are_not_summed_when_hardly_anybody_comes_back(tmp_path):
    aggregates = aggregates_in(tmp_path, events(*((f"user {number}", "tea", number) for number in range(10))))
    aggregates.update(day(10))
    assert merged_in(aggregates) == []


def test_a_late_interaction_has_its_day_and_the_sums_after_it_computed_anew(tmp_path):
    aggregates = aggregates_in(tmp_path, ROWS)
    aggregates.update(day(3))
    aggregates.update(day(7))
    aggregates.log.write(events(("ann", "tea", 5.2)), part="late")
    assert aggregates.update(day(7)) == 1
    assert merged_in(aggregates) == ["2024-01-04", "2024-01-08"]
    assert len(list(aggregates.folder.glob("days/*"))) == 6
    # On a day that had none.
    aggregates.log.write(events(("ann", "tea", 4.2)), part="late")
    assert aggregates.update(day(7)) == 1
    assert_views(views_of(aggregates, day(7), tmp_path / "out"), aggregates.log, day(7))


def test_what_is_logged_no_more_is_forgotten(tmp_path):
    aggregates = aggregates_in(tmp_path, ROWS)
    aggregates.update(day(7))
    for path in aggregates.log.folder.glob("day=*/*"):
        path.unlink()
    assert aggregates.update(day(7)) == 0
    assert state_of(aggregates) == {}


def test_a_moment_before_the_latest_sum_is_made_of_what_was_before_it(tmp_path):
    aggregates = aggregates_in(tmp_path, ROWS)
    aggregates.update(day(7))
    assert merged_in(aggregates) == ["2024-01-08"]
    assert sorted(aggregates.between(None, day(3)).users.collect()["user_id"]) == ["ann"] * 3


@pytest.mark.parametrize(
    ("since", "until", "users"),
    [
        (day(1), day(3), "ann ann"),
        (day(1.5), day(2.5), "ann"),
        (day(1.5) + MICROSECOND, day(2.5) + MICROSECOND, "ann"),
        (day(3), day(3) + MICROSECOND, "bob"),
        (day(3) + MICROSECOND, day(3) + timedelta(hours=1), ""),
        (day(4), day(5), ""),
        (day(3.4), day(3.6), "ann"),
        (None, day(0.5), ""),
        (day(6), day(6), ""),
    ],
)
def test_a_stretch_has_what_happened_from_its_beginning_to_before_its_end(tmp_path, since, until, users):
    aggregates = aggregates_in(tmp_path, ROWS)
    aggregates.update(until)
    assert sorted(aggregates.between(since, until).users.collect()["user_id"]) == users.split()


def test_whole_days_are_not_read_from_the_log_again(tmp_path, monkeypatch):
    aggregates = aggregates_in(tmp_path, ROWS)
    aggregates.update(day(7))

    def refused(*_: object) -> None:
        raise AssertionError("the log was read")

    monkeypatch.setattr(DailyLog, "scan", refused)
    for since in (None, day(1)):
        assert aggregates.between(since, day(7)).users.collect().height > 0
    with pytest.raises(AssertionError, match="the log was read"):
        aggregates.between(day(1.5), day(7))


def test_a_stretch_with_a_day_that_was_not_computed_is_refused(tmp_path):
    aggregates = aggregates_in(tmp_path, ROWS)
    with pytest.raises(FeatureStoreError, match=r"2024-01-01-.*: the day has not been aggregated"):
        aggregates.between(None, day(2))


def test_other_types_or_another_order_of_them_have_everything_computed_anew(tmp_path):
    aggregates = aggregates_in(tmp_path, ROWS)
    aggregates.update(day(7))
    heavier = DailyAggregates(aggregates.log, aggregates.folder, {**WEIGHTS, "buy": 2.0})
    assert heavier.update(day(7)) == 0
    lighter = DailyAggregates(aggregates.log, aggregates.folder, {**WEIGHTS, "buy": 0.01})
    assert lighter.update(day(7)) == 6
    assert len(list(aggregates.folder.glob("days/*"))) == 6


def test_a_type_without_a_weight_is_refused(tmp_path):
    aggregates = aggregates_in(tmp_path, events(("ann", "tea", 1, None, "gift")))
    with pytest.raises(DataError, match=r"day=2024-01-02: found the types \['gift'\], expected \['buy', 'cart'"):
        aggregates.update(day(2))


def test_killed_between_any_two_files_and_run_again_it_ends_the_same(tmp_path, monkeypatch):
    expected = aggregates_in(tmp_path / "expected", ROWS)
    expected.update(day(7))
    rename, kills = Path.rename, 0
    while True:
        killed = aggregates_in(tmp_path / str(kills), ROWS)
        left = kills

        def dies(self: Path, target: Path) -> Path:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return rename(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", dies)
            try:
                assert killed.update(day(7)) == 6
                break
            except KeyboardInterrupt:
                kills += 1
        assert killed.update(day(7)) == 6 - min(kills - 1, 6)
        assert_same_state(killed, expected)
    assert kills == 7  # six days and their sum


def test_an_empty_log_has_nothing_to_compute(tmp_path):
    aggregates = DailyAggregates(DailyLog(tmp_path / "log"), tmp_path / "state", WEIGHTS)
    assert aggregates.update(day(7)) == 0
    assert aggregates.between(None, day(7)).users.collect().is_empty()
