"""One aggregation of a log in a process of its own, whose memory is then that of the aggregation alone.

Reads   FOLDER/log, as `write_days` left it
Writes  FOLDER/state and FOLDER/NAME/VIEW/*.parquet
Prints  {"seconds", "peak_gb"}; the seconds of pandas are those until the views are in memory

    python -m benchmarks.aggregate_run recsys FOLDER UNTIL
"""

import json
import resource
import sys
import time
from datetime import datetime
from pathlib import Path

import polars as pl

from benchmarks.day_events import WEIGHTS

KILOBYTES_A_GB = 1e6


def main(name: str, folder: Path, until: datetime) -> None:
    """The views of all interactions; of ours the days that were computed before are not computed again."""
    run = {"recsys": recsys, "pandas": pandas}[name](folder, until)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": run, "peak_gb": peak / KILOBYTES_A_GB}))


def recsys(folder: Path, until: datetime) -> float:
    """Days first, then the views."""
    from features.daily.aggregates import DailyAggregates
    from features.daily.log import DailyLog
    from features.daily.snapshot import snapshot
    from recsys.catalogue import Catalogue

    nothing_known = Catalogue.load(pl.DataFrame(schema={"item_id": pl.String, "title": pl.String}))
    started = time.perf_counter()
    days = DailyAggregates(DailyLog(folder / "log"), folder / "state", WEIGHTS)
    snapshot(days, nothing_known, until, folder / "recsys")
    return time.perf_counter() - started


def pandas(folder: Path, until: datetime) -> float:
    """All at once."""
    from benchmarks.pandas_features import pandas_views

    started = time.perf_counter()
    views = pandas_views(folder / "log", until, WEIGHTS)
    seconds = time.perf_counter() - started
    for view, frame in views.items():
        (folder / "pandas" / view).mkdir(parents=True, exist_ok=True)
        frame.reset_index().to_parquet(folder / "pandas" / view / "0.parquet")
    return seconds


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), datetime.fromisoformat(sys.argv[3]))
