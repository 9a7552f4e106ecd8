"""Three views of the feature store written plainly in pandas, as the peer of the aggregation by day."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from features.fields import NEW_USERS_DAYS, SPEND_DAYS, WINDOWS_DAYS, count_of, windowed
from features.history import MAX_HISTORY_ITEMS, RECENT_DAYS, RECENT_EVENTS


def pandas_views(log: Path, as_of: datetime, weights: Mapping[str, float]) -> dict[str, pd.DataFrame]:
    """The three views by name, indexed by item_id or user_id, from the Parquet files of a daily log."""
    events = pd.concat([pd.read_parquet(path, partitioning=None) for path in sorted(log.glob("*/*.parquet"))])
    events = events[events["timestamp"] < as_of].reset_index(drop=True)
    events["weight"] = events["event_type"].map(weights)
    events["seconds"] = events["timestamp"].astype("int64") / 1e6
    return {
        "item_behaviour": _items(events, as_of),
        "user_behaviour": _users(events, as_of),
        "user_history": _histories(events, as_of),
    }


def _items(events: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    by_item = events.groupby("item_id")
    times = events.drop_duplicates(["user_id", "item_id", "timestamp"])
    returned = times.groupby(["item_id", "user_id"]).size() > 1
    firsts = events.groupby(["item_id", "user_id"])["timestamp"].min()
    month = _last(events, 28, as_of)
    found = {
        **_distinct(events, "users", "item_id", "user_id", as_of),
        **_counts(events, "item_id", as_of),
        "occasions_28d": _last(times, 28, as_of).groupby("item_id").size(),
        "weight_28d": month.groupby("item_id")["weight"].sum(),
        **{
            windowed("new_users", days): (firsts >= as_of - timedelta(days=days)).groupby("item_id").sum()
            for days in NEW_USERS_DAYS
        },
        "returned": returned.groupby("item_id").sum(),
        "value_sum": by_item["value"].sum(),
        "value_count": by_item["value"].count(),
        "first_at": by_item["seconds"].min(),
        "last_at": by_item["seconds"].max(),
    }
    return _filled(pd.DataFrame(found))


def _users(events: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    by_user = events.groupby("user_id")
    pairs = events.drop_duplicates(["user_id", "timestamp", "item_id"]).groupby("user_id").size()
    found = {
        **_distinct(events, "occasions", "user_id", "timestamp", as_of),
        **_counts(events, "user_id", as_of),
        **{
            windowed("value_sum", days): _last(events, days, as_of).groupby("user_id")["value"].sum()
            for days in SPEND_DAYS
        },
        "distinct_items": by_user["item_id"].nunique(),
        "pairs": pairs,
        "value_sum": by_user["value"].sum(),
        "value_sum_squares": (events["value"] ** 2).groupby(events["user_id"]).sum(),
        "value_count": by_user["value"].count(),
        "first_at": by_user["seconds"].min(),
        "last_at": by_user["seconds"].max(),
    }
    return _filled(pd.DataFrame(found))


def _histories(events: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    heaviest = events.sort_values(["weight", "event_type"], ascending=[False, True])
    by_pair = events.reset_index(names="logged").groupby(["user_id", "item_id"])
    pairs = by_pair.agg(
        history_occasions=("timestamp", "nunique"),
        history_first_at=("seconds", "min"),
        history_last_at=("seconds", "max"),
        history_values=("value", "sum"),
        logged=("logged", "max"),
    )
    pairs["history_types"] = heaviest.drop_duplicates(["user_id", "item_id"]).set_index(["user_id", "item_id"])[
        "event_type"
    ]
    latest_first = pairs.reset_index(names=["user_id", "history_items"]).sort_values(
        ["history_last_at", "logged"], ascending=False
    )
    kept = latest_first.groupby("user_id").head(MAX_HISTORY_ITEMS)
    recent = _last(events, RECENT_DAYS, as_of).reset_index(names="logged")
    recent = recent.sort_values(["timestamp", "logged"], ascending=False).groupby("user_id").head(RECENT_EVENTS)
    names = {"item_id": "recent_items", "event_type": "recent_types", "seconds": "recent_at"}
    last = recent.rename(columns=names).groupby("user_id")[list(names.values())].agg(list)
    found = kept.drop(columns="logged").groupby("user_id").agg(list).join(last)
    return found.map(lambda entries: entries if isinstance(entries, list) else [])


def _distinct(events: pd.DataFrame, stem: str, key: str, of: str, as_of: datetime) -> dict[str, pd.Series]:
    windows = {windowed(stem, days): _last(events, days, as_of) for days in WINDOWS_DAYS}
    return {name: found.groupby(key)[of].nunique() for name, found in (windows | {stem: events}).items()}


def _counts(events: pd.DataFrame, key: str, as_of: datetime) -> dict[str, pd.Series]:
    found = {}
    for name in events["event_type"].unique():
        of_type, stem = events[events["event_type"] == name], count_of(name)
        windows = {windowed(stem, days): _last(of_type, days, as_of) for days in WINDOWS_DAYS}
        found |= {column: rows.groupby(key).size() for column, rows in (windows | {stem: of_type}).items()}
    return found


def _last(events: pd.DataFrame, days: int, as_of: datetime) -> pd.DataFrame:
    return events[events["timestamp"] >= as_of - timedelta(days=days)]


def _filled(view: pd.DataFrame) -> pd.DataFrame:
    """Nothing in a window, or of a type, is nought there."""
    return view.fillna(0)
