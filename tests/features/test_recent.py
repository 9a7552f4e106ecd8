import math
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.featureset import FeatureSet
from features.history import MAX_HISTORY_ITEMS, RECENT_EVENTS
from features.recent import Past, RecentEvent, Row, Since, user_row_after
from features.recent_items import item_additions, row_after
from recsys.catalogue import Catalogue
from tests.features.daily.cases import WEIGHTS, rows
from tests.features.log import SCHEMA, day, log, seconds
from tests.features.whole_log import item_behaviour, user_affinity, user_behaviour, user_history

SNAPSHOT = day(80)
FEATURES = FeatureSet.of(WEIGHTS)
ITEM_COLUMNS = FEATURES.item_columns
NEVER_SEEN: Row = dict.fromkeys(FEATURES.row_columns)
CATALOGUE = Catalogue.load(
    pl.DataFrame({"item_id": list("abcd"), "title": list("abcd"), "category": ["one", "other", "one", None]})
)
SINCE = Since(SNAPSHOT.timestamp(), WEIGHTS, CATALOGUE.category_of)


def interactions_of(found: list[tuple]) -> pl.DataFrame:
    """In the order of their arrival."""
    return log(*((*row[:4], WEIGHTS[row[5]], row[5]) for row in found)) if found else pl.DataFrame(schema=SCHEMA)


def rows_of_users(interactions: pl.DataFrame, as_of: datetime, **windows: datetime) -> dict[str, Row]:
    """What the store has of users, by id."""
    interactions = interactions.sort("timestamp", maintain_order=True)
    found = (
        user_behaviour(interactions, as_of, FEATURES, **windows)
        .join(user_history(interactions, as_of, **windows), on="user_id")
        .join(
            user_affinity(interactions, CATALOGUE, as_of, **windows).drop("event_timestamp"), on="user_id", how="left"
        )
        .with_columns(pl.col(FEATURES.affinity_columns).fill_null([]))
    )
    return {row["user_id"]: {name: row[name] for name in NEVER_SEEN} for row in found.iter_rows(named=True)}


def rows_of_items(interactions: pl.DataFrame, as_of: datetime, **windows: datetime) -> dict[str, np.ndarray]:
    found = item_behaviour(interactions, as_of, FEATURES, **windows)
    return dict(zip(found["item_id"], found.select(ITEM_COLUMNS).to_numpy().astype(np.float64), strict=True))


def recent_events(interactions: pl.DataFrame) -> dict[str, list[RecentEvent]]:
    """Those since the snapshot, by user, sorted."""
    logged = interactions.with_row_index("place").filter(pl.col("timestamp") >= SNAPSHOT)
    found: dict[str, list[RecentEvent]] = {}
    for row in logged.iter_rows(named=True):
        value = math.nan if row["value"] is None else row["value"]
        event = RecentEvent(row["timestamp"].timestamp(), row["place"], row["item_id"], row["event_type"], value)
        found.setdefault(row["user_id"], []).append(event)
    return {user: sorted(events) for user, events in found.items()}


def assert_same_row(found: Row, expected: Row) -> None:
    for name, value in expected.items():
        texts = isinstance(value, list) and all(isinstance(one, str) for one in value)
        assert found[name] == (value if texts else pytest.approx(value, rel=1e-6, nan_ok=True)), name


@settings(deadline=None)
@given(st.lists(rows, max_size=30), st.integers(0, 30))
def test_rows_and_recent_events_give_what_the_log_gives(found, later):
    interactions, as_of = interactions_of(found), day(80 + later)
    interactions = interactions.filter(pl.col("timestamp") < as_of)
    before, after = rows_of_users(interactions, SNAPSHOT), rows_of_users(interactions, as_of, windows_from=SNAPSHOT)
    recent = recent_events(interactions)
    for user, events in recent.items():
        assert_same_row(user_row_after(before.get(user, NEVER_SEEN), events, SINCE), after[user])
    items = rows_of_items(interactions, SNAPSHOT)
    for user, events in recent.items():
        past = Past(before.get(user, NEVER_SEEN))
        for item in {event.item_id for event in events}:
            added = item_additions(past, [event for event in events if event.item_id == item], SINCE, ITEM_COLUMNS)
            items[item] = row_after(items.get(item, np.full(len(ITEM_COLUMNS), np.nan)), added, ITEM_COLUMNS)
    expected = rows_of_items(interactions, as_of, windows_from=SNAPSHOT)
    assert items.keys() == expected.keys()
    for item, row in expected.items():
        np.testing.assert_allclose(items[item], row, rtol=1e-6, err_msg=item)


def test_a_purchase_after_the_snapshot_is_in_every_figure_of_its_user():
    interactions = log(("ann", "a", 70, 2.0), ("ann", "b", 70, 4.0))
    row = rows_of_users(interactions, SNAPSHOT)["ann"]
    events = [RecentEvent(seconds(81), 2, "a", "buy", 3.0), RecentEvent(seconds(81), 3, "c", "buy", math.nan)]
    found = user_row_after(row, events, SINCE)
    assert (found["occasions"], found["pairs"], found["distinct_items"]) == (2, 4, 3)
    assert (found["value_sum"], found["value_count"]) == (9, 3)
    assert (found["first_at"], found["last_at"]) == (seconds(70), seconds(81))
    # Of one occasion the item logged last is the latest.
    assert found["history_items"] == ["c", "a", "b"]
    assert found["history_occasions"] == [1, 2, 1]
    assert found["history_first_at"] == [seconds(81), seconds(70), seconds(70)]
    assert found["history_last_at"] == [seconds(81), seconds(81), seconds(70)]


def test_a_late_event_of_an_occasion_that_is_known_is_no_other_one():
    row = rows_of_users(log(("ann", "a", 70), ("ann", "a", 75)), SNAPSHOT)["ann"]
    found = user_row_after(row, [RecentEvent(seconds(75), 2, "b", "buy", math.nan)], SINCE)
    assert (found["occasions"], found["pairs"], found["distinct_items"]) == (2, 3, 2)
    assert found["history_items"] == ["b", "a"]


def test_an_item_of_a_late_event_stays_behind_what_was_logged_later_on_its_last_occasion():
    row = rows_of_users(log(("ann", "a", 70), ("ann", "c", 70), ("ann", "b", 75), ("ann", "d", 75)), SNAPSHOT)["ann"]
    assert row["history_items"] == ["d", "b", "c", "a"]
    found = user_row_after(row, [RecentEvent(seconds(60), 4, "b", "buy", math.nan)], SINCE)
    assert found["history_items"] == ["d", "b", "c", "a"]
    assert found["history_first_at"][1] == seconds(60)
    later = [RecentEvent(seconds(82), 5, "e", "buy", math.nan), RecentEvent(seconds(82), 6, "b", "buy", math.nan)]
    late = RecentEvent(seconds(81), 7, "e", "buy", math.nan)
    assert user_row_after(row, sorted([*later, late]), SINCE)["history_items"] == ["b", "e", "d", "c", "a"]


def test_only_what_is_in_a_window_counts_there():
    # The snapshot is of day 80: 28 days before it is day 52.
    events = [RecentEvent(seconds(51), 0, "a", "buy", math.nan), RecentEvent(seconds(52), 1, "a", "buy", math.nan)]
    found = user_row_after(NEVER_SEEN, events, SINCE)
    assert (found["occasions_28d"], found["occasions_90d"], found["occasions"]) == (1, 2, 2)
    added = item_additions(Past(NEVER_SEEN), events, SINCE, ITEM_COLUMNS)
    counts = dict(zip(ITEM_COLUMNS, added.counts, strict=True))
    assert (counts["users_28d"], counts["users_90d"], counts["occasions_28d"], counts["returned"]) == (1, 1, 1, 1)


def test_a_user_who_was_counted_in_the_snapshot_is_not_counted_again():
    row = rows_of_users(log(("ann", "a", 60)), SNAPSHOT)["ann"]
    events = [RecentEvent(seconds(81), 1, "a", "buy", math.nan)]
    counts = dict(zip(ITEM_COLUMNS, item_additions(Past(row), events, SINCE, ITEM_COLUMNS).counts, strict=True))
    # Day 60 lies in the last 28 days and not in the last 7.
    assert (counts["users"], counts["users_28d"], counts["users_7d"]) == (0, 0, 1)
    assert (counts["occasions_28d"], counts["returned"]) == (1, 1)
    assert counts["new_users_28d"] == 0  # new on day 60, as the snapshot says


def test_a_user_is_new_to_an_item_on_the_first_occasion_alone_even_when_that_comes_late():
    row = rows_of_users(log(("ann", "a", 76)), SNAPSHOT)["ann"]

    def new_users(*days: int) -> list[float]:
        events = [RecentEvent(seconds(at), at, "a", "buy", math.nan) for at in days]
        counts = dict(zip(ITEM_COLUMNS, item_additions(Past(row), events, SINCE, ITEM_COLUMNS).counts, strict=True))
        return [counts["new_users_7d"], counts["new_users_28d"]]

    assert new_users(81) == [0, 0]
    # The snapshot of day 80 counted her as new in both windows.
    assert new_users(60, 81) == [-1, 0]
    assert new_users(20, 81) == [-1, -1]
    counts = item_additions(Past(NEVER_SEEN), [RecentEvent(seconds(81), 0, "a", "buy", math.nan)], SINCE, ITEM_COLUMNS)
    assert counts.counts[ITEM_COLUMNS.index("new_users_7d")] == 1


def test_a_history_stays_as_long_as_it_may_be():
    row = NEVER_SEEN
    events = [RecentEvent(seconds(81) + at, at, f"i{at}", "buy", math.nan) for at in range(MAX_HISTORY_ITEMS + 5)]
    found = user_row_after(row, events, SINCE)
    assert len(found["history_items"]) == MAX_HISTORY_ITEMS
    assert found["history_items"][0] == f"i{MAX_HISTORY_ITEMS + 4}"
    assert found["recent_items"] == [f"i{MAX_HISTORY_ITEMS + 4 - at}" for at in range(RECENT_EVENTS)]


def test_the_last_interactions_are_those_of_28_days_before_the_snapshot_and_of_after_it():
    row = rows_of_users(log(("ann", "a", 51), ("ann", "b", 53), ("ann", "c", 53)), SNAPSHOT)["ann"]
    events = [RecentEvent(seconds(day), place, "d", "view", math.nan) for place, day in enumerate((51, 53, 81))]
    found = user_row_after(row, events, SINCE)
    assert found["recent_items"] == ["d", "d", "c", "b"]
    assert found["recent_types"] == ["view", "view", "purchase", "purchase"]
    assert found["recent_at"] == [seconds(81), seconds(53), seconds(53), seconds(53)]
