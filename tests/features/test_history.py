from datetime import timedelta

from features.history import RECENT_EVENTS
from tests.features.log import MICROSECOND, day, log, seconds
from tests.features.test_whole_log import only_row
from tests.features.whole_log import user_history

AS_OF = day(100)


def test_the_history_has_each_item_once_the_latest_first_with_occasions_and_times_beside_it():
    interactions = log(
        ("ann", "tea", 1, 2.0),
        ("ann", "cup", 2),
        ("ann", "jam", 3, 8.0),
        ("ann", "tea", 4, 0.5),
        ("ann", "tea", 4, 1.0),
    )
    assert only_row(user_history(interactions, AS_OF)) == {
        "user_id": "ann",
        "event_timestamp": AS_OF,
        "history_items": ["tea", "jam", "cup"],
        "history_occasions": [2, 1, 1],
        "history_first_at": [seconds(1), seconds(3), seconds(2)],
        "history_last_at": [seconds(4), seconds(3), seconds(2)],
        "history_types": ["purchase", "purchase", "purchase"],
        "history_values": [3.5, 8.0, 0.0],
        "recent_items": [],  # of the last 28 days there is nothing
        "recent_types": [],
        "recent_at": [],
    }


def test_the_type_of_an_item_in_a_history_is_the_one_of_the_highest_weight_and_of_equal_ones_the_first_by_name():
    interactions = log(
        ("ann", "tea", 1, None, 1.0, "purchase"),
        ("ann", "tea", 5, None, 0.25, "view"),
        ("ann", "jam", 2, None, 0.5, "wish"),
        ("ann", "jam", 2, None, 0.5, "cart"),
        ("ann", "jam", AS_OF, None, 1.0, "purchase"),
    )
    found = only_row(user_history(interactions, AS_OF))
    assert dict(zip(found["history_items"], found["history_types"], strict=True)) == {"tea": "purchase", "jam": "cart"}


def test_of_several_items_on_one_occasion_the_one_logged_last_comes_first():
    interactions = log(("ann", "tea", 1), ("ann", "jam", 2), ("ann", "cup", 2), ("ann", "tea", 2))
    assert only_row(user_history(interactions, AS_OF))["history_items"] == ["tea", "cup", "jam"]


def test_a_history_that_is_too_long_keeps_its_latest_items(monkeypatch):
    monkeypatch.setattr("features.history.MAX_HISTORY_ITEMS", 2)
    found = only_row(user_history(log(("ann", "tea", 1), ("ann", "cup", 2), ("ann", "jam", 3)), AS_OF))
    assert found["history_items"] == ["jam", "cup"]
    assert found["history_last_at"] == [seconds(3), seconds(2)]


def test_every_interaction_of_the_last_28_days_is_listed_the_latest_first():
    interactions = log(
        ("ann", "tea", 71.9),
        ("ann", "tea", 72, None, 0.2, "view"),
        ("ann", "tea", 80),
        ("ann", "cup", 80),
        ("ann", "tea", 99.5, None, 0.2, "view"),
        ("ann", "jam", AS_OF),
        ("bob", "tea", 71),
    )
    ann, bob = user_history(interactions, AS_OF).iter_rows(named=True)
    assert ann["recent_items"] == ["tea", "cup", "tea", "tea"]
    assert ann["recent_types"] == ["view", "purchase", "purchase", "view"]
    assert ann["recent_at"] == [seconds(99.5), seconds(80), seconds(80), seconds(72)]
    assert (bob["recent_items"], bob["recent_types"], bob["recent_at"]) == ([], [], [])


def test_who_counts_on_from_a_snapshot_keeps_what_was_recent_then():
    interactions = log(("ann", "tea", AS_OF - timedelta(days=30)), ("ann", "cup", AS_OF - MICROSECOND))
    found = only_row(user_history(interactions, AS_OF, windows_from=AS_OF - timedelta(days=2)))
    assert found["recent_items"] == ["cup", "tea"]


def test_of_many_interactions_the_last_are_listed():
    interactions = log(*(("ann", f"i{at}", 99 + at / 1000) for at in range(RECENT_EVENTS + 5)))
    assert only_row(user_history(interactions, AS_OF))["recent_items"] == [
        f"i{RECENT_EVENTS + 4 - at}" for at in range(RECENT_EVENTS)
    ]
