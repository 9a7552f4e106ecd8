"""A small made-up shop: 60 items in six themes, 80 users with two themes each, 120 days of views and purchases.

    write_shop(folder, format="csv", bad_rows=True)  →  folder/items.csv, folder/interactions.csv

Every call writes the same rows. Themes make the shop learnable: titles tell the theme, and users stay with theirs.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

SEED = 0
USERS = 80
DAYS = 120
FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
EVENT_TYPES = ("view", "purchase")
UNKNOWN_TYPE = "swipe"

THEMES = {
    "garden": ("watering can", "flower pot", "pruning shears", "seed tray", "garden glove"),
    "kitchen": ("mixing bowl", "frying pan", "wooden spoon", "cake tin", "measuring jug"),
    "office": ("paper notebook", "ballpoint pen", "desk lamp", "ring binder", "paper stapler"),
    "bathroom": ("bath towel", "soap dish", "shower curtain", "hand mirror", "toothbrush holder"),
    "toys": ("wooden train", "teddy bear", "jigsaw puzzle", "spinning top", "doll house"),
    "christmas": ("tree bauble", "advent calendar", "snow globe", "christmas stocking", "reindeer candle"),
}
COLOURS = ("red", "blue")


@dataclass(frozen=True)
class Shop:
    """The files of a shop, and how many rows of interactions are bad, by the reason for which `import` refuses them."""

    items: Path
    interactions: Path
    bad: dict[str, int]


def write_shop(folder: Path, *, format: Literal["csv", "jsonl"], bad_rows: bool) -> Shop:
    """Write items and interactions into a folder that exists; 15 bad rows may stand among the good ones."""
    interactions = interaction_rows()
    bad: dict[str, int] = {}
    if bad_rows:
        for at, (reason, row) in enumerate(_bad_rows(interactions)):
            interactions.insert(100 + 40 * at, row)
            bad[reason] = bad.get(reason, 0) + 1
    shop = Shop(folder / f"items.{format}", folder / f"interactions.{format}", bad)
    for path, rows in ((shop.items, item_rows()), (shop.interactions, interactions)):
        (_write_csv if format == "csv" else _write_jsonl)(path, rows)
    return shop


def item_rows() -> list[dict[str, object]]:
    """One row an item: item_id, title, category, price."""
    return [
        {
            "item_id": f"{theme[:3]}-{at:02}",
            "title": f"{colour} {thing}",
            "category": theme,
            "price": 2.5 + at,
        }
        for theme, things in THEMES.items()
        for at, (colour, thing) in enumerate((colour, thing) for colour in COLOURS for thing in things)
    ]


def interaction_rows() -> list[dict[str, object]]:
    """One row a view or purchase, in the order of time: event_id, user_id, item_id, event_type, timestamp, value."""
    random = np.random.default_rng(SEED)
    prices = {row["item_id"]: row["price"] for row in item_rows()}
    by_theme = [[row["item_id"] for row in item_rows() if row["category"] == theme] for theme in THEMES]
    # Within a theme some items sell better than others.
    appeal = 1 / np.arange(1, len(by_theme[0]) + 1)
    rows: list[dict[str, object]] = []
    for user in range(USERS):
        themes = random.choice(len(THEMES), 2, replace=False)
        for day in np.flatnonzero(random.random(DAYS) < random.uniform(0.05, 0.3)):
            at = FIRST_DAY + timedelta(days=int(day), minutes=int(random.integers(8 * 60, 22 * 60)))
            items = by_theme[random.choice(themes)]
            viewed = random.choice(len(items), random.integers(2, 5), replace=False, p=appeal / appeal.sum())
            bought = viewed[random.random(len(viewed)) < 0.5]
            # What is bought together is bought at one moment, after it was looked at.
            moments = [(item, "view", at + timedelta(seconds=20 * nth)) for nth, item in enumerate(viewed)]
            moments += [(item, "purchase", at + timedelta(minutes=5)) for item in bought]
            rows += [
                {
                    "user_id": f"user-{user:02}",
                    "item_id": items[item],
                    "event_type": event_type,
                    "timestamp": moment.isoformat(),
                    "value": prices[items[item]] if event_type == "purchase" else None,
                }
                for item, event_type, moment in moments
            ]
    rows.sort(key=lambda row: (str(row["timestamp"]), str(row["user_id"])))
    return [{"event_id": f"event-{nth:05}", **row} for nth, row in enumerate(rows)]


def _bad_rows(good: Sequence[Mapping[str, object]]) -> list[tuple[str, dict[str, object]]]:
    """The reason and the row of every kind of fault, each one more often than the one before."""
    faults: dict[str, dict[str, object]] = {
        "missing item_id": {"item_id": None},
        "unreadable timestamp": {"timestamp": "last Tuesday"},
        "unknown item_id": {"item_id": "no-such-item"},
        "unknown event_type": {"event_type": UNKNOWN_TYPE},
        "duplicate event_id": {"event_id": good[0]["event_id"]},
    }
    return [
        (reason, {**good[0], "event_id": f"bad-{kind}-{nth}", **fault})
        for kind, (reason, fault) in enumerate(faults.items())
        for nth in range(kind + 1)
    ]


def _write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def _write_jsonl(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
