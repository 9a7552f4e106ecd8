"""A year of Online Retail for a shop that retrains each month: a part of its users and items, by months."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from recsys.importing import import_tables
from recsys.workspace import Workspace
from training.demo import DATA

STARTS = [datetime(2011, month, 1, tzinfo=UTC) for month in range(3, 13)]
"""When it retrains; first on all that was before."""

CONFIG = """
name = "year"
[source]
items = "items.parquet"
interactions = "interactions.parquet"
log = true
[interaction_types]
purchase = {{ weight = 1.0, label = true }}
[text]
encoder = {encoder!r}
[finetune]
max_steps = 5
[ranker]
windows = 2
trees = 60
learning_rate = 0.05
[retrieval]
candidates = 100
[gate]
min_users = 20
max_users = 400
# Of a few hundred users no more than this can be told for sure.
margin = -0.15
max_latency = 20.0
max_size = 20.0
audited_rows = 20
[retrain]
text_every_days = 90
[checks]
# A wholesaler's December is nothing like its January.
enough_rows = 1_000_000
"""
WORSE = (
    "learning_rate = 0.05\n",
    "learning_rate = 10.0\nleaves = 1000\nrows_in_leaf = 1\nfeature_share = 0.1\nl2 = 0.0\n",
)
"""A change of the settings that somebody will regret."""


def tables(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Interactions of every other user with every seventh item, and these items."""
    (folder / "recsys.toml").write_text(
        f'name = "all"\n[source]\nformat = "online_retail"\ninteractions = "{DATA}"\n[interaction_types]\n'
        "purchase = { weight = 1.0, label = true }\n[split]\ntest_start = 2011-11-25T00:00:00Z\n"
    )
    workspace = Workspace.open(folder / "recsys.toml")
    import_tables(workspace)
    some_items = pl.col("item_id").str.extract(r"^(\d+)").cast(pl.Int64) % 7 == 0
    some_users = pl.col("user_id").cast(pl.Int64) % 2 == 0
    interactions = workspace.read_table("interactions").filter(some_items, some_users)
    return interactions, workspace.read_table("items").filter(some_items)


def year_project(root: Path, encoder: Path, interactions: pl.DataFrame, items: pl.DataFrame) -> Workspace:
    """The shop with what happened before the first retraining in its files; the rest comes through its server."""
    root.mkdir()
    items.write_parquet(root / "items.parquet")
    interactions.filter(pl.col("timestamp") < STARTS[0]).write_parquet(root / "interactions.parquet")
    (root / "recsys.toml").write_text(CONFIG.format(encoder=str(encoder)))
    return Workspace.open(root / "recsys.toml")
