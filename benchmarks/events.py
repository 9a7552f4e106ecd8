"""How many events a second a server takes and keeps: acknowledged over HTTP, each on the disk when it is.

Clients post batches to `recsys serve` over a project of its own. The floor writes the same rows with plain sqlite3, one
transaction a batch and as many flushes of the disk, into the same table. They take turns. The server is also killed at
random moments, and every event is looked for afterwards (benchmarks.kills).

Reads   CONFIG, a trained project; without it a small synthetic shop is made and trained first
Writes  OUT

    python -m benchmarks.events --json events.json
"""

import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.harness import Table, claim, print_table, write_result
from benchmarks.kills import survive
from benchmarks.project import synthetic_project
from benchmarks.served import Served, served
from recsys.workspace import Workspace
from serving.event_tables import connect

BATCH_EVENTS = (10, 100, 1000)
"""Events of a request."""
CLAIMED_BATCH = 100
CLIENTS = 4
"""Connections that post at once, each waiting for its answer before it posts again."""
EVENTS_A_TURN = 8_000
TURNS = 7
KILLS = 50
USERS = 500

Row = tuple[object, ...]
Batch = list[dict[str, Any]]


@click.command()
@click.option("--config", "config_path", type=click.Path(path_type=Path, exists=True), help="A trained project")
@click.option("--kills", default=KILLS, show_default=True, help="How often the server is killed as well")
@click.option("--quick", is_flag=True, help="A few events, no claims: for the tests")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Where the result is written")
def main(config_path: Path | None, kills: int, quick: bool, out: Path | None) -> None:
    """Measure, print a table, write the result."""
    turns, events = (1, 1_000) if quick else (TURNS, EVENTS_A_TURN)
    with project(config_path) as config:
        items = Workspace.open(config).read_table("items")["item_id"].to_list()
        kind = next(iter(Workspace.open(config).config.interaction_types))
        rates = measure(config, items, kind, events=events, turns=turns)
        survived = survive(config, items, kind, kills=kills) if kills else None
    claims = {}
    if not quick:
        ours, floor = rates[CLAIMED_BATCH]
        claims["events_per_second"] = claim(ours, 5000, f"1/s, {CLAIMED_BATCH} a request")
        claims["times_the_floor"] = claim(floor / ours, "as near 1 as HTTP and JSON allow", "×")
        if survived is not None:
            claims["lost"] = claim(survived["lost"], 0, f"of {survived['acknowledged']} events, {kills} kills")
            claims["counted_twice"] = claim(survived["twice"], 0, "events")
    rows = [(size, ours, floor, floor / ours) for size, (ours, floor) in rates.items()]
    title = f"Events a second, {CLIENTS} clients; the floor is plain sqlite3 with as many flushes"
    print_table(Table(title, ("events a request", "recsys serve", "floor", "ratio"), rows), claims)
    if survived is not None:
        print(json.dumps(survived))
    if out is not None:
        details = {
            "clients": CLIENTS,
            "per_second": {size: ours for size, (ours, _) in rates.items()},
            "floor_per_second": {size: floor for size, (_, floor) in rates.items()},
            "kills": survived,
        }
        write_result(out, "events", claims, details)


@contextmanager
def project(config: Path | None) -> Iterator[Path]:
    """The given project, or a small one that was trained for the purpose."""
    if config is not None:
        yield config
        return
    with TemporaryDirectory(prefix="recsys-events-") as name:
        yield synthetic_project(Path(name))


def measure(
    config: Path, items: Sequence[str], kind: str, *, events: int, turns: int
) -> dict[int, tuple[float, float]]:
    """For each size of a request the acknowledged events a second, and the floor's rows: medians over the turns."""
    rates: dict[int, list[tuple[float, float]]] = {size: [] for size in BATCH_EVENTS}
    with served(config) as server, TemporaryDirectory(dir=config.parent) as name:
        floor = Path(name) / "floor.db"
        # The same table on the same disk.
        connect(floor).close()
        for _ in range(turns + 1):
            for size, found in rates.items():
                batches = [made_batch(items, kind, size) for _ in range(max(events // size, CLIENTS))]
                rows = [[row_of(event) for event in batch] for batch in batches]
                count = size * len(batches)
                ours = count / seconds_of(partial(post_all, server, batches))
                found.append((ours, count / seconds_of(partial(write_all, floor, rows))))
    # The first turn warms up.
    return {
        size: (median(ours for ours, _ in found[1:]), median(floor for _, floor in found[1:]))
        for size, found in rates.items()
    }


def made_batch(items: Sequence[str], kind: str, size: int) -> Batch:
    """Events of now, each with an id of its own."""
    now = datetime.now(UTC).isoformat()
    ids = [uuid.uuid4() for _ in range(size)]
    return [
        {
            "event_id": each.hex,
            "user_id": f"u{each.int % USERS}",
            "item_id": items[(each.int >> 64) % len(items)],
            "event_type": kind,
            "timestamp": now,
            "value": 9.5,
        }
        for each in ids
    ]


def post_all(server: Served, batches: Sequence[Batch]) -> None:
    """Post each in a request, as many clients at once as CLIENTS. Every event must be stored."""
    bodies = [json.dumps({"events": batch}).encode() for batch in batches]

    def post(of_client: Sequence[bytes]) -> None:
        with closing(server.client()) as client:
            for body in of_client:
                status, answer = client.post("/v1/events", body)
                assert status == 200, answer
                assert answer.count(b'"stored"') == body.count(b'"event_id"')

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(post, [bodies[at::CLIENTS] for at in range(CLIENTS)]))


def row_of(event: dict[str, Any]) -> Row:
    """As the event log has it."""
    at = int(datetime.fromisoformat(event["timestamp"]).timestamp() * 1e6)
    return (
        event["event_id"],
        event["user_id"],
        event["item_id"],
        event["event_type"],
        at,
        None,
        event["value"],
        at,
        None,
    )


def write_all(path: Path, batches: Sequence[Sequence[Row]]) -> None:
    """One transaction a batch, each flushed to the disk."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        for rows in batches:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO interactions (event_id, user_id, item_id, event_type, timestamp, request_id, value, "
                "received_at, query) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            connection.execute("COMMIT")


def seconds_of(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
