"""A robot that pushes one item: a million purchases, purchases of the future, and a place in every list shown."""

import json
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from recsys.bundle import champion
from recsys.schema import TIMESTAMP
from recsys.workspace import Workspace
from serving.asked import Asked
from serving.engine import load_engine
from tests.shop import FIRST_DAY, USERS, interaction_rows, item_rows
from tests.training.retrained import NOW, retrained_project
from training.checks_report import BrokenLogs
from training.retraining import Outcome, retrain

PUSHED = "chr-09"
"""Few bought it, and most users never buy anything of its theme."""
LAST_DAY = 113
MOST_A_DAY = 10
"""The busiest has eight events a day."""
ROBOT_EVENTS = 1_000_000
ROBOT_DAYS = 7

LETS_IT_IN = """
max_shown_share = 1.0
max_volume = 1e9
max_repeated_share = 1.0
max_label_change = 1e9
max_user_share = 1.0
max_item_share = 1.0
"""
"""Under [checks], which the settings end with: what the checks would have stopped is trained on."""


def write_logs(root: Path, *, poisoned: bool) -> None:
    """The shop's log, in which each visit of a user is what came of one list that was shown."""
    until = (FIRST_DAY + timedelta(days=LAST_DAY)).isoformat()
    rows = pl.DataFrame(interaction_rows(), infer_schema_length=None).filter(pl.col("timestamp") < until)
    rows = rows.with_columns(request_id=pl.concat_str("user_id", pl.col("timestamp").str.head(10), separator=" "))
    visits: dict[tuple[str, str], list[str]] = defaultdict(list)
    for request, user, item in rows.select("request_id", "user_id", "item_id").iter_rows():
        visits[request, user].append(item)
    first = dict(rows.group_by("request_id").agg(pl.col("timestamp").min()).iter_rows())
    random, items = np.random.default_rng(0), [str(row["item_id"]) for row in item_rows()]
    with (root / "impressions.jsonl").open("w") as file:
        for (request, user), chosen in visits.items():
            shown = [item for item in dict.fromkeys([*chosen, *random.choice(items, 6).tolist()]) if item != PUSHED]
            is_pushed = poisoned and first[request] > (FIRST_DAY + timedelta(days=LAST_DAY - ROBOT_DAYS)).isoformat()
            shown = [PUSHED, *shown] if is_pushed else shown
            line = {"request_id": request, "user_id": user, "timestamp": first[request], "items": shown}
            file.write(json.dumps(line) + "\n")
    if poisoned:
        end = FIRST_DAY + timedelta(days=LAST_DAY)
        nth = pl.int_range(ROBOT_EVENTS, eager=True)
        times = pl.select(
            pl.lit(end) - pl.duration(seconds=1 + nth % (ROBOT_DAYS * 86_400))
        ).to_series()  # fmt: skip
        future = pl.Series([NOW + timedelta(days=1 + day) for day in range(30)])
        moments = pl.concat([times, future.dt.cast_time_unit("us")])
        robot = pl.DataFrame({"timestamp": moments.dt.to_string("%+")}).with_row_index("event_id").select(
            pl.format("robot-{}", "event_id").alias("event_id"),
            user_id=pl.lit("robot"),
            item_id=pl.lit(PUSHED),
            event_type=pl.lit("purchase"),
            timestamp="timestamp",
            value=pl.lit(2.5),
            request_id=pl.lit(None, pl.String),
        )  # fmt: skip
        rows = pl.concat([rows, robot.select(rows.columns)], how="vertical_relaxed")
    rows.write_csv(root / "interactions.csv")


def project(root: Path, encoder: Path, *, poisoned: bool, most_a_day: int, checks: str = LETS_IT_IN) -> Workspace:
    root.mkdir()
    retrained_project(root, encoder)
    config = root / "recsys.toml"
    source = f'[source]\nimpressions = "impressions.jsonl"\nmax_events_per_user_per_day = {most_a_day}'
    # One window: which number of trees is best would be decided by the last bits of the processor in so small a shop.
    text = config.read_text().replace("[source]", source).replace("windows = 3", "windows = 1")
    config.write_text(text + checks)
    write_logs(root, poisoned=poisoned)
    return Workspace.open(config)


def places(workspace: Workspace) -> NDArray[np.int64]:
    """Where each item stands among all: for each of the users, and for somebody never seen; (users + 1, items)."""
    engine, items = load_engine(workspace), [str(row["item_id"]) for row in item_rows()]
    users = [*(f"user-{user:02}" for user in range(USERS)), "nobody-knows-me"]
    return np.array(
        [np.argsort([items.index(one.item_id) for one in engine.rank(Asked(user), items).items]) for user in users]
    )


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Workspace:
    workspace = project(tmp_path_factory.mktemp("clean") / "shop", tiny_encoder, poisoned=False, most_a_day=MOST_A_DAY)
    assert retrain(workspace, now=NOW) == Outcome.PROMOTED
    return workspace


@pytest.mark.parametrize(("most_a_day", "moves"), [(MOST_A_DAY, False), (ROBOT_EVENTS, True)])
def test_with_a_cap_that_fits_the_shop_a_robot_moves_no_rankings_of_others_and_without_one_it_would(
    clean, tmp_path, tiny_encoder, most_a_day, moves
):
    workspace = project(tmp_path / "shop", tiny_encoder, poisoned=True, most_a_day=most_a_day)
    assert retrain(workspace, now=NOW) == Outcome.PROMOTED
    rows = workspace.read_table("interactions")
    assert rows[TIMESTAMP].max() < NOW
    moved = np.abs(places(workspace) - places(clean)).mean()
    # Of 60 places; by another seed, which is as good, rankings move by four.
    assert moved > 2 if moves else moved < 1


def test_where_the_cap_is_too_high_for_the_shop_the_checks_stop_the_retraining(clean, tmp_path):
    before = champion(clean.bundles)
    write_logs(clean.root, poisoned=True)
    config = clean.root / "recsys.toml"
    text = config.read_text().removesuffix(LETS_IT_IN)
    config.write_text(text.replace(f"per_day = {MOST_A_DAY}", "per_day = 1000"))
    with pytest.raises(BrokenLogs, match="the champion stays"):
        retrain(Workspace.open(config), now=NOW)
    report = json.loads((clean.root / "tables" / "checks.json").read_text())
    errors = {one["check"] for one in report["findings"] if one["level"] == "error"}
    assert errors >= {"share of one user", "share of one item", "share of impressions with one item"}
    assert champion(clean.bundles) == before
