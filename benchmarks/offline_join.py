"""One join in time by one offline store in a process of its own, whose memory is then that of the join alone.

Reads   FOLDER, as `write_inputs` left it
Prints  {"seconds", "peak_mb", "rows", "sums"}

    python -m benchmarks.offline_join duckdb FOLDER
"""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.compute as pc
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float32, Int64

from benchmarks.offline_cases import DUCKDB, POLARS, feast_store

STORES = {"polars": POLARS, "duckdb": DUCKDB}
FEATURES = [f"feature_{number}" for number in range(30)]
TTL = timedelta(days=30)
DAYS = 90
ITEMS_SHOWN = 10


def write_inputs(folder: Path, rows: int) -> None:
    """What a ranker is trained on: a snapshot of each user's 30 features a day, and lists of items shown.

    Both have `rows` rows, less what DAYS and ITEMS_SHOWN leave over; the items of a list share a user and a moment.
    """
    random = np.random.default_rng(0)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    users = max(1, rows // DAYS)
    days = pl.datetime_range(start, start + timedelta(days=DAYS - 1), "1d", time_unit="us", eager=True)
    keys = pl.DataFrame({"at": days}).join(pl.DataFrame({"user_id": range(users)}), how="cross")
    values = [pl.Series(name, random.random(len(keys), dtype=np.float32)) for name in FEATURES]
    keys.with_columns(values).write_parquet(folder / "features.parquet")
    lists = rows // ITEMS_SHOWN
    seconds = pl.duration(seconds=pl.Series(random.integers(0, DAYS * 24 * 3600, lists)))
    shown = pl.DataFrame({"user_id": random.integers(0, users, lists)}).with_columns(event_timestamp=start + seconds)
    shown.join(pl.DataFrame({"item_id": range(ITEMS_SHOWN)}), how="cross").write_parquet(folder / "moments.parquet")


def apply_view(folder: Path, offline_store: str) -> FeatureStore:
    """A store that knows the view of the folder."""
    store = feast_store(folder, offline_store)
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
    fields = [Field(name="user_id", dtype=Int64), *(Field(name=name, dtype=Float32) for name in FEATURES)]
    source = FileSource(name="features", path=str(folder.parent / "features.parquet"), timestamp_field="at")
    store.apply([user, FeatureView(name="view", entities=[user], ttl=TTL, schema=fields, source=source)])
    return store


def main(name: str, folder: Path) -> None:
    """Join once for ten rows to warm up, then for all."""
    store = apply_view(folder / name, STORES[name])
    moments = pd.read_parquet(folder / "moments.parquet")
    references = [f"view:{feature}" for feature in FEATURES]
    store.get_historical_features(moments.head(10), references).to_arrow()
    Path("/proc/self/clear_refs").write_text("5")  # The peak so far is forgotten.
    before, started = _status_mb("VmRSS"), time.perf_counter()
    table = store.get_historical_features(moments, references).to_arrow()
    seconds, peak = time.perf_counter() - started, _status_mb("VmHWM")
    sums = [pc.sum(table[feature].cast("double")).as_py() for feature in FEATURES]
    print(json.dumps({"seconds": seconds, "peak_mb": peak - before, "rows": len(table), "sums": sums}))


def _status_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
