import pytest

from features.daily.windows import item_sums, segments, user_sums
from tests.features.daily.cases import WEIGHTS, aggregates_in, events
from tests.features.log import day

AS_OF = day(100.25)
ROWS = events(
    ("ann", "tea", 1, 1.0, "view"),
    ("ann", "tea", 50, 2.0, "view"),
    ("ann", "tea", 80, 4.0, "buy"),
    ("ann", "tea", 93.5, 8.0, "view"),
    ("ann", "tea", 100, None, "view"),
    ("ann", "tea", 100.25, 16.0, "view"),
)


@pytest.fixture
def ages(tmp_path):
    aggregates = aggregates_in(tmp_path, ROWS)
    aggregates.update(AS_OF)
    return segments(aggregates, AS_OF, AS_OF)


def test_each_interaction_before_the_moment_lies_in_one_segment(ages):
    assert {days: part.events.collect().height for days, part in ages.items()} == {1: 1, 7: 1, 28: 1, 90: 1, None: 1}


def test_a_window_sums_the_segments_in_it(ages):
    (ann,) = user_sums(ages, sorted(WEIGHTS)).rows(named=True)
    assert ann["user_id"] == "ann"
    windows = ["1d", "7d", "28d", "90d"]
    assert [ann[f"occasions_{days}"] for days in windows] == [1, 2, 3, 4]
    assert [ann[f"count_view_{days}"] for days in windows] == [1, 2, 2, 3]
    assert (ann["value_sum_28d"], ann["value_sum_90d"], ann["value_sum"], ann["value_count"]) == (12.0, 14.0, 15.0, 4)
    (tea,) = item_sums(ages, WEIGHTS).rows(named=True)
    assert (tea["item_id"], tea["occasions_28d"], tea["count_buy_90d"], tea["count_buy_7d"]) == ("tea", 3, 1, 0)
    assert tea["weight_28d"] == pytest.approx(0.1 + 0.1 + 1.0)
