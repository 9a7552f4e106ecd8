"""How long a retraining takes beside a training from scratch, and what it costs those who ask the server meanwhile.

Online Retail up to two weeks before its end is trained from scratch: `recsys retrain` without a champion. A week of
events later it retrains, alone on the machine; after another week once more, while a server answers. A client asks for
rankings of 100 candidates, some twenty a second, before that retraining and during all of it.

Reads   examples/online_retail
Writes  OUT

    python -m benchmarks.retraining --json retraining.json
"""

import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import click
import numpy as np
import polars as pl

from benchmarks.harness import Table, claim, print_table, write_result
from benchmarks.online_retail import DATA
from benchmarks.served import RECSYS, Served, served
from benchmarks.serving import LOADS, requests_of
from recsys.workspace import Workspace

CONFIG = """\
name = "online_retail"
[source]
format = "online_retail"
interactions = "online_retail.parquet"
[interaction_types]
purchase = { weight = 1.0, label = true }
[checks]
# A week of December is not like the one before.
max_volume = 1000.0
"""
QUICK = """\
[finetune]
max_steps = 1
[ranker]
windows = 1
trees = 5
[retrieval]
candidates = 50
[gate]
min_users = 1
"""
PAUSE_S = 0.05
USUAL_S = 60.0
WEEK = timedelta(days=7)


@click.command()
@click.option("--quick", is_flag=True, help="Few users and items, models of a moment, no claims: for the tests")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Where the result is written")
def main(quick: bool, out: Path | None) -> None:
    """Measure, print a table, write the result."""
    with TemporaryDirectory(prefix="recsys-retraining-") as name:
        config = Path(name) / "recsys.toml"
        config.write_text(CONFIG + (QUICK if quick else ""))
        rows = lines(every=6 if quick else 1)
        last = rows["InvoiceDate"].max()
        assert isinstance(last, datetime)
        seconds = {}
        for what, until in (("from scratch", last - 2 * WEEK), ("retraining", last - WEEK)):
            seconds[what] = retrained(config, rows, until)
        with served(config) as server:
            asked = [one.body(LOADS[0]) for one in requests_of(Workspace.open(config), 400)]
            ask(server, asked, 5)
            usual = ask(server, asked, 2.0 if quick else USUAL_S)
            during, seconds["retraining beside the server"] = while_retraining(server, asked, config, rows, last)
    claims = {
        "time of a retraining": claim(seconds["retraining"] / seconds["from scratch"], 0.5, "of one from scratch"),
        "p99 during a retraining": claim(during["p99_ms"] / usual["p99_ms"], 2.0, "× the usual"),
        "failed during a retraining": claim(during["failed"], 0, "answers"),
    }
    table = [(what, took, "", "", "") for what, took in seconds.items()]
    for what, found in (("server, usual", usual), ("server, during", during)):
        table.append((what, "", found["p50_ms"], found["p99_ms"], int(found["requests"])))
    columns = ("what", "seconds", "p50 ms", "p99 ms", "answers")
    print_table(Table("Retraining on Online Retail", columns, table), {} if quick else claims)
    if out is not None:
        details = {"seconds": seconds, "usual": usual, "during": during}
        write_result(out, "retraining", {} if quick else claims, details)


def lines(*, every: int) -> pl.DataFrame:
    """The lines of the log; of a part of the users and as large a part of the items."""
    rows = pl.read_parquet(DATA)
    item = pl.col("StockCode").str.extract(r"^(\d+)").cast(pl.Int64)
    return rows.filter(pl.col("CustomerID") % every == 0, item % every == 0) if every > 1 else rows


def retrained(config: Path, rows: pl.DataFrame, until: datetime) -> float:
    """The seconds of a retraining on what was before a moment. Raises ClickException when it fails."""
    new = config.with_name("new.parquet")
    rows.filter(pl.col("InvoiceDate") <= until).write_parquet(new)
    new.rename(config.with_name("online_retail.parquet"))
    started = time.monotonic()
    done = subprocess.run([*RECSYS, "retrain", "--config", str(config)], capture_output=True, text=True)
    # Promoted, or measured and kept.
    if done.returncode not in (0, 3):
        raise click.ClickException(f"recsys retrain failed:\n{done.stderr}")
    return time.monotonic() - started


def ask(server: Served, asked: list[bytes], seconds: float, ended: Event | None = None) -> dict[str, float]:
    """What a client sees in so many seconds, or until something has ended."""
    client, times, failed = server.client(), [], 0
    end, at = time.monotonic() + seconds, 0
    while time.monotonic() < end and not (ended is not None and ended.is_set()):
        started = time.perf_counter()
        status, _ = client.post("/v1/rank", asked[at % len(asked)])
        times.append(time.perf_counter() - started)
        failed += status != 200
        at += 1
        time.sleep(PAUSE_S)
    client.close()
    p50, p99 = np.percentile(np.array(times) * 1000, [50, 99]).tolist()
    return {"p50_ms": p50, "p99_ms": p99, "requests": float(len(times)), "failed": float(failed)}


def while_retraining(
    server: Served, asked: list[bytes], config: Path, rows: pl.DataFrame, until: datetime
) -> tuple[dict[str, float], float]:
    """What a client sees during a retraining, and how long that took."""
    ended, took, failures = Event(), [], []

    def work() -> None:
        try:
            took.append(retrained(config, rows, until))
        except click.ClickException as error:
            failures.append(error)
        finally:
            ended.set()

    thread = Thread(target=work)
    thread.start()
    found = ask(server, asked, 1e9, ended)
    thread.join()
    if failures:
        raise failures[0]
    return found, took[0]


if __name__ == "__main__":
    main()
