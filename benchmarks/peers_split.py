"""What the peers may know and whom they are asked about, as files that a Python without our packages reads.

Reads   a project's tables
Writes  FOLDER/interactions.parquet          user, item, seconds: all before the cut, in the order of time
        FOLDER/validation_TASK.parquet       user, relevant: what was chosen in the days before the cut, to tune on
        FOLDER/users_TASK.parquet            user, user_id: whom to recommend to after the cut
        FOLDER/split.json                    n_users, n_items, validation and cut in seconds since the epoch

Users and items are numbers: an item its position in the catalogue, a user the position of its id among all, sorted.
What was chosen after the cut is written nowhere.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from recsys.catalogue import Catalogue
from recsys.schema import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID
from recsys.split import split_by_time
from recsys.workspace import Workspace

TASKS = ("all", "new")

USER, ITEM, SECONDS, RELEVANT = "user", "item", "seconds", "relevant"


@dataclass(frozen=True)
class Cases:
    """The users of a task, by id, and what each chose: positions in the catalogue."""

    users: list[str]
    relevant: list[frozenset[int]]


def write_split(workspace: Workspace, folder: Path) -> dict[str, Cases]:
    """Write the files; what is to be found after the cut, by task, is returned alone."""
    cut = workspace.config.split.test_start
    assert cut is not None
    validation = cut - timedelta(days=workspace.config.split.validation_days)
    catalogue = Catalogue.load(workspace, as_of=cut)
    table = workspace.read_table("interactions").sort(TIMESTAMP, maintain_order=True)
    user_ids = table[USER_ID].unique().sort()
    interactions = table.select(
        user=pl.col(USER_ID).replace_strict(user_ids, range(len(user_ids)), return_dtype=pl.Int64),
        item=pl.col(ITEM_ID).replace_strict(catalogue.index, return_dtype=pl.Int64),
        timestamp=TIMESTAMP,
        label=pl.col(EVENT_TYPE).is_in(workspace.config.label_types),
    )
    known, _ = split_by_time(interactions, cut)
    folder.mkdir(parents=True, exist_ok=True)
    known.select(USER, ITEM, seconds=pl.col(TIMESTAMP).dt.epoch("us") / 1e6).write_parquet(
        folder / "interactions.parquet"
    )
    for task, cases in chosen(known, validation).items():
        cases.write_parquet(folder / f"validation_{task}.parquet")
    about = {
        "n_users": len(user_ids),
        "n_items": len(catalogue),
        "validation": validation.timestamp(),
        "cut": cut.timestamp(),
    }
    (folder / "split.json").write_text(json.dumps(about) + "\n")
    found = {}
    for task, cases in chosen(interactions, cut).items():
        users = cases.select(USER, user_ids.gather(cases[USER]))
        users.write_parquet(folder / f"users_{task}.parquet")
        found[task] = Cases(users[USER_ID].to_list(), [frozenset(items) for items in cases[RELEVANT]])
    return found


def chosen(interactions: pl.DataFrame, start: datetime) -> dict[str, pl.DataFrame]:
    """What users who were known before chose from `start` on, by task: user, relevant (sorted), in the order of users.

    interactions  user, item, timestamp, label: whether it is to be found; for `new` what a user had before `start` is
                  not
    """
    past, window = split_by_time(interactions, start)
    past = past.select(USER, ITEM).unique()
    window = window.filter("label").select(USER, ITEM).unique().join(past, on=USER, how="semi")
    pairs = {"all": window, "new": window.join(past, on=[USER, ITEM], how="anti")}
    return {
        task: of_task.group_by(USER).agg(pl.col(ITEM).sort().alias(RELEVANT)).sort(USER)
        for task, of_task in pairs.items()
    }
