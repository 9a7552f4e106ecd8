"""A whole deployment: the bundle made by hand, its online store and its recsys.toml."""

from pathlib import Path

import polars as pl

from tests.serving.made_bundle import publish_made_bundle
from tests.serving.test_engine_online_store import filled

TOML = """
name = "made"
[source]
interactions = "interactions.csv"
[interaction_types]
click = { label = true }
[features]
item_attributes = {}
online_store = "ONLINE_STORE"
[serving]
port = 0
"""


def deployed(folder: Path, scorer: Path, online_store: str = "sqlite") -> Path:
    """Its recsys.toml."""
    config = folder / "recsys.toml"
    config.write_text(TOML.replace("ONLINE_STORE", online_store))
    publish_made_bundle(folder / "bundles", scorer)
    filled(folder / "features", online_store)
    (folder / "tables").mkdir()
    for table in ("items", "interactions"):
        pl.DataFrame({"item_id": ["a1", "a2"]}).write_parquet(folder / "tables" / f"{table}.parquet")
    return config
