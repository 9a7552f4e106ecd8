"""The truth of a simulation as files, for whoever compares what was estimated with what is so.

Reads and writes  settings.json            the settings, and the constants of the formulas of recsys.simulation.truth
                  items.parquet            item_id, topics, quality, price (standard deviations), published, taken_for
                  users.parquet            user_id, first, last (tastes), thrift, activity
                  examination.parquet      position (from 1), examination
"""

from pathlib import Path

import msgspec
import polars as pl

from recsys.errors import DataError
from recsys.schema import ITEM_ID, USER_ID
from recsys.simulation.items import Items
from recsys.simulation.settings import Settings
from recsys.simulation.truth import AVERAGE, PURCHASE_RATE, SHARPNESS, Truth
from recsys.simulation.users import Users
from recsys.simulation.words import TOPICS
from recsys.state import Floats

CONSTANTS = {"AVERAGE": AVERAGE, "SHARPNESS": SHARPNESS, "PURCHASE_RATE": PURCHASE_RATE}


class Header(msgspec.Struct, frozen=True):
    """What settings.json holds."""

    synthetic: bool
    topics: list[str]
    constants: dict[str, float]
    settings: Settings


def write_truth(truth: Truth, popularity: Floats, folder: Path) -> None:
    """Write all files into a folder that exists; popularity float64 (n_items,) is what the shop takes the items for."""
    header = Header(True, list(TOPICS), CONSTANTS, truth.settings)
    (folder / "settings.json").write_bytes(msgspec.json.format(msgspec.json.encode(header), indent=2) + b"\n")
    items, users = truth.items, truth.users
    items.table.select(
        ITEM_ID,
        topics=items.topics,
        quality=pl.Series(items.quality),
        price=pl.Series(items.price),
        published=pl.Series(items.published),
        taken_for=pl.Series(popularity),
    ).write_parquet(folder / "items.parquet")
    users.table.select(
        USER_ID,
        first=users.first,
        last=users.last,
        thrift=pl.Series(users.thrift),
        activity=pl.Series(users.activity),
    ).write_parquet(folder / "users.parquet")
    places = pl.DataFrame({"position": range(1, truth.settings.list_length + 1), "examination": truth.examination})
    places.write_parquet(folder / "examination.parquet")


def read_truth(folder: Path) -> Truth:
    """The truth that `recsys simulate OUT` wrote into OUT/truth; the tables of items and users hold their ids alone.

    Raises DataError when files are missing or another version of the simulator wrote them.
    """
    try:
        header = msgspec.json.decode((folder / "settings.json").read_bytes(), type=Header)
        items, users = (pl.read_parquet(folder / f"{name}.parquet") for name in ("items", "users"))
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(f"{folder}: {error}; expected the truth of a simulation, run `recsys simulate` anew") from error
    if header.constants != CONSTANTS or header.topics != list(TOPICS):
        raise DataError(
            f"{folder}: made with {header.constants} and the topics {header.topics}, this version has {CONSTANTS} and "
            f"{list(TOPICS)}; run `recsys simulate` anew"
        )
    return Truth(
        header.settings,
        Items(
            items.select(ITEM_ID),
            *(items[name].to_numpy() for name in ("topics", "quality", "price", "published")),
        ),
        Users(users.select(USER_ID), *(users[name].to_numpy() for name in ("first", "last", "thrift", "activity"))),
    )
