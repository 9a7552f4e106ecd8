"""Answers of a project's server with the features that they were made from, and features that were not so."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import numpy as np

from recsys.bundle import champion, read_manifest
from recsys.workspace import Workspace
from serving.asked import Asked
from serving.engine import load_engine
from serving.events import EventLog
from serving.feature_table import FLOAT32
from serving.types import Impression

SHARE = "\n[serving]\nlogged_features_share = 1.0\n"
"""For recsys.toml: of every answer."""


def serve_answers(workspace: Workspace, *, answers: int) -> None:
    """Rank the first ten items for as many users."""
    engine = load_engine(workspace)
    users = workspace.read_table("interactions")["user_id"].unique().sort().to_list()
    with EventLog.open(workspace.events) as log:
        for number, user in enumerate(users[:answers]):
            ranked = engine.rank(Asked(user), engine.catalogue.item_ids[:10])
            shown = [item.item_id for item in ranked.items]
            now = datetime.now(UTC)
            about = {"timestamp": now, "items": shown, "surface": "test", "bundle": engine.bundle_id}
            request = f"{now:%H%M%S%f}-{number}"
            log.show(Impression(request_id=request, user_id=user, **about), ranked.features)  # type: ignore[arg-type]


def shift_feature(workspace: Workspace, name: str) -> None:
    """Have the log say that this feature was 1 more than it was, in every answer."""
    column = read_manifest(champion(workspace.bundles)).features.index(name)
    with closing(sqlite3.connect(workspace.events)) as connection, connection:
        rows = connection.execute("SELECT request_id, matrix FROM features").fetchall()
        for request_id, matrix in rows:
            values = np.frombuffer(matrix, dtype=FLOAT32).reshape(10, -1).copy()
            values[:, column] += 1
            connection.execute("UPDATE features SET matrix = ? WHERE request_id = ?", (values.tobytes(), request_id))
