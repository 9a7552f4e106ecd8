"""A small shop that is retrained: first on what happened up to a day, then on more of the same log."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from recsys.workspace import Workspace
from tests.shop import FIRST_DAY, interaction_rows, write_shop
from tests.training.project import write_config

NOW = datetime(2024, 5, 1, tzinfo=UTC)
"""A day after the log ends."""

SETTINGS = """
[gate]
days = 14
min_users = 20
margin = {margin}
max_latency = 20.0
audited_rows = 20
[checks]
enough_rows = 100
"""


def write_until(root: Path, day: int) -> None:
    """The events of the shop up to a day after the first."""
    rows = pl.DataFrame(interaction_rows(), infer_schema_length=None)
    until = (FIRST_DAY + timedelta(days=day)).isoformat()
    rows.filter(pl.col("timestamp") < until).write_csv(root / "interactions.csv")


def retrained_project(root: Path, encoder: Path, *, day: int = 100, margin: float = -0.02) -> Workspace:
    """A shop that was never trained."""
    write_shop(root, format="csv", bad_rows=False)
    write_until(root, day)
    write_config(root, encoder)
    with (root / "recsys.toml").open("a") as file:
        file.write(SETTINGS.format(margin=margin))
    return Workspace.open(root / "recsys.toml")
