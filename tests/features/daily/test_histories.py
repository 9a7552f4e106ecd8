import polars as pl

from features.daily.histories import histories
from tests.features.log import day, seconds

USERS = pl.DataFrame({"user_key": [3, 5], "user_id": ["bob", "ann"]}, schema_overrides={"user_key": pl.UInt64})
IDS = pl.Series(["cup", "tea"])
KEYS = {"user_key": pl.UInt64, "item_key": pl.UInt32, "rank": pl.UInt8}


def at(number: float) -> int:
    return round(seconds(number) * 1e6)


def test_lists_are_those_of_their_user_and_may_be_empty():
    pairs = pl.DataFrame(
        {
            "user_key": [3, 5, 5],
            "item_key": [1, 0, 1],
            "occasions": [1, 2, 1],
            "first_at": [at(1), at(1), at(2)],
            "last_at": [at(1), at(4), at(3)],
            "rank": [0, 1, 0],
            "value": [0.0, 2.5, 8.0],
        },
        schema_overrides=KEYS,
    )
    events = pl.DataFrame(
        {"user_key": [5, 5], "item_key": [0, 1], "at": [at(4), at(3)], "rank": [1, 0]}, schema_overrides=KEYS
    )
    found = histories(USERS, pairs, events, IDS, ["buy", "view"], day(5))
    bob, ann = found.drop("event_timestamp").rows(named=True)
    assert (bob["user_id"], bob["history_items"], bob["history_types"]) == ("bob", ["tea"], ["buy"])
    assert (bob["recent_items"], bob["recent_types"], bob["recent_at"]) == ([], [], [])
    assert ann == {
        "user_id": "ann",
        "history_items": ["cup", "tea"],
        "history_occasions": [2.0, 1.0],
        "history_first_at": [seconds(1), seconds(2)],
        "history_last_at": [seconds(4), seconds(3)],
        "history_types": ["view", "buy"],
        "history_values": [2.5, 8.0],
        "recent_items": ["cup", "tea"],
        "recent_types": ["view", "buy"],
        "recent_at": [seconds(4), seconds(3)],
    }
