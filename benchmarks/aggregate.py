"""What does it cost to aggregate a long log by day, in time and memory, and how does that compare with plain pandas.

Writes  OUT

A log of 100 days with a million interactions each (benchmarks/day_events.py says what they are like), read from
Parquet to the views of items, users and histories; the first of its days alone; and a million over ten days, beside
pandas, whose views must be equal. Each runs in a process of its own, and those of a million take turns. A day more is
added to the 100 at the end. Items have no categories, so that nobody has an affinity. Needs about 9 GB of disk.

    python -m benchmarks.aggregate --json aggregate.json
"""

import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
import polars as pl
from polars.testing import assert_frame_equal

from benchmarks.day_events import START, day_events, write_days
from benchmarks.harness import RUNS, Table, claim, in_own_process, print_table, write_result
from features.daily.log import DailyLog, midnight

EVENTS_A_DAY, QUICK_EVENTS_A_DAY = 1_000_000, 2_000
DAYS, QUICK_DAYS = 100, 4
DAYS_BESIDE_PANDAS, QUICK_DAYS_BESIDE_PANDAS = 10, 2
KEYS = {"item_behaviour": "item_id", "user_behaviour": "user_id", "user_history": "user_id"}


@click.command()
@click.option("--quick", is_flag=True, help="Few days with few interactions, no claims: for the tests")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Where the result is written")
def main(quick: bool, out: Path | None) -> None:
    """Measure, print a table, write the result."""
    a_day, days = (QUICK_EVENTS_A_DAY, QUICK_DAYS) if quick else (EVENTS_A_DAY, DAYS)
    beside = QUICK_DAYS_BESIDE_PANDAS if quick else DAYS_BESIDE_PANDAS
    with TemporaryDirectory() as name:
        found = measure(Path(name), a_day, days, beside, runs=1 if quick else RUNS)
    long, one_day = found["all days"], found["one day"]
    claims = {}
    if not quick:
        cost = (long["seconds"] / days) / one_day["seconds"]
        claims = {
            "events_per_second_100m": claim(a_day * days / long["seconds"], 1e6, "events/s"),
            "peak_memory_gb_100m": claim(long["peak_gb"], 8, "GB"),
            "cost_per_event_100m_vs_1m": claim(cost, 1.25, "× the seconds an event"),
            "vs_pandas_1m": claim(found["pandas"]["seconds"] / found["beside pandas"]["seconds"], 5, "× as fast"),
        }
    table = [(name, run["events"], run["seconds"], run["peak_gb"]) for name, run in found.items()]
    print_table(Table("Aggregation by day", ("what", "interactions", "s", "GB"), table), claims)
    if out is not None:
        write_result(out, "aggregate", claims, {"threads": os.cpu_count(), "days": days, "runs": found})


def measure(folder: Path, a_day: int, days: int, beside: int, *, runs: int) -> dict[str, dict[str, Any]]:
    """Seconds and peak memory of each; medians where there are several runs."""
    ends = {
        "one day": write_days(DailyLog(folder / "one day" / "log"), days=1, events_a_day=a_day),
        "beside pandas": write_days(
            DailyLog(folder / "beside pandas" / "log"), days=beside, events_a_day=a_day // beside
        ),
    }
    several: dict[str, list[dict[str, Any]]] = {"one day": [], "beside pandas": [], "pandas": []}
    for _ in range(runs):
        for name, end in ends.items():
            shutil.rmtree(folder / name / "state", ignore_errors=True)
            several[name].append(_run("recsys", folder / name, end))
        several["pandas"].append(_run("pandas", folder / "beside pandas", ends["beside pandas"]))
    check_equal(folder / "beside pandas")
    found = {
        name: {"events": a_day, **{figure: median(run[figure] for run in of) for figure in ("seconds", "peak_gb")}}
        for name, of in several.items()
    }
    long = folder / "all days"
    end = write_days(DailyLog(long / "log"), days=days, events_a_day=a_day)
    found["all days"] = {"events": a_day * days, **_run("recsys", long, end)}
    DailyLog(long / "log").write(day_events(START + timedelta(days=days), a_day, seed=0))
    found["a day more"] = {"events": a_day, **_run("recsys", long, midnight(START + timedelta(days=days + 1)))}
    return found


def check_equal(folder: Path) -> None:
    """Raises ClickException when the views of recsys and of pandas differ by more than their 32 bits."""
    for view, key in KEYS.items():
        ours = pl.read_parquet(folder / "recsys" / view / "*.parquet").drop("event_timestamp").sort(key)
        theirs = pl.read_parquet(folder / "pandas" / view / "*.parquet").select(ours.columns).sort(key)
        lists = [pl.col(name).cast(kind) for name, kind in ours.schema.items()]
        try:
            assert_frame_equal(ours, theirs.with_columns(lists), rel_tol=1e-5, abs_tol=1e-6)
        except AssertionError as error:
            raise click.ClickException(f"{view}: recsys and pandas computed other values: {error}") from error


def _run(name: str, folder: Path, until: datetime) -> dict[str, Any]:
    return in_own_process("benchmarks.aggregate_run", name, str(folder), until.isoformat())


if __name__ == "__main__":
    main()
