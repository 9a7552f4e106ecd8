"""How long answers take over HTTP, beside the same work called in process, and how many there are a second.

wrk asks `recsys serve`, both on the cores of this machine, over a copy of a trained project. The floor is what cannot
be left out of an answer: interest by text, features and trees for the same users and candidates, without what lies
around it: HTTP, JSON, looking the user up, following the log, logging what was shown. Server and floor take turns. At
saturation there are as many workers as cores. The features of one answer in a hundred are logged, as on a busy server.

Reads   CONFIG, a trained project, that of the demo unless another one is named
Writes  OUT

    make demo && python -m benchmarks.serving --json serving.json
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from benchmarks.harness import Table, claim, print_table, write_result
from benchmarks.resident import pss_bytes, resident_bytes
from benchmarks.served import Served, served
from features.recommender import Ranker
from features.trees import open_ranker
from recsys.bundle import champion, open_bundle
from recsys.schema import ITEM_ID, TIMESTAMP, USER_ID
from recsys.workspace import Workspace
from serving.course import Course
from serving.engine import load_engine
from serving.live import Live

DEMO = Path(__file__).parents[1] / "runs/demo/recsys.toml"
SCRIPT = Path(__file__).with_suffix(".lua")
REQUESTS = 400
TURNS = 5
SECONDS_A_TURN = 4
CLIENTS_AT_SATURATION = 8
WORKERS_AT_SATURATION = 2
LOGGED_SHARE = re.compile(r"^logged_features_share = .*$", flags=re.MULTILINE)


@dataclass(frozen=True)
class Load:
    """One kind of request; candidates 0: /v1/recommend."""

    name: str
    candidates: int
    p50_ms: float
    p99_ms: float | None


LOADS = (
    Load("rank 100", 100, 4.0, 10.0),
    Load("rank 500", 500, 10.0, 20.0),
    Load("recommend", 0, 15.0, None),
)


@click.command()
@click.option("--config", type=click.Path(path_type=Path), default=DEMO, help="A trained project; else the demo's")
@click.option("--quick", is_flag=True, help="A second of each, no claims: for the tests")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Where the result is written")
def main(config: Path, quick: bool, out: Path | None) -> None:
    """Measure, print a table, write the result."""
    if shutil.which("wrk") is None:
        raise click.ClickException("wrk is not found; install it (Debian: apt install wrk)")
    turns, seconds = (1, 1) if quick else (TURNS, SECONDS_A_TURN)
    with TemporaryDirectory(prefix="recsys-serving-") as name:
        copied = copy_of(config, Path(name))
        asked = requests_of(Workspace.open(copied), REQUESTS)
        floor = Floor.of(Workspace.open(copied))
        started = time.perf_counter()
        with served(copied) as server:
            ready_s = time.perf_counter() - started
            one_worker_mb = pss_bytes(server.process.pid) / 1e6
            found = measure(server, floor, asked, Path(name), turns=turns, seconds=seconds)
            resident_mb = resident_bytes(server.process.pid) / 1e6
        with served(copied, workers=WORKERS_AT_SATURATION) as server:
            second_worker_mb = pss_bytes(server.process.pid) / 1e6 - one_worker_mb
            found["saturation"] = saturate(server, asked, Path(name), turns=turns, seconds=seconds)
    rows, claims = [], {}
    for load in LOADS:
        ours = found[load.name]
        ratio = ours["p50_ms"] / ours["floor_p50_ms"]
        rows.append(
            (load.name, ours["p50_ms"], ours["p99_ms"], ours["floor_p50_ms"], ratio, ours["degraded"], ours["failed"])
        )
        claims[f"{load.name} p50"] = claim(ours["p50_ms"], load.p50_ms, "ms")
        if load.p99_ms is not None:
            claims[f"{load.name} p99"] = claim(ours["p99_ms"], load.p99_ms, "ms")
        claims[f"{load.name} over the floor"] = claim(ratio, 1.6, "×")
    many = found["saturation"]
    rows.append(("saturation, rank 100", many["p50_ms"], many["p99_ms"], "", "", many["degraded"], many["failed"]))
    claims["requests a second at saturation"] = claim(many["per_second"], 300, "1/s")
    claims["p99 at saturation"] = claim(many["p99_ms"], 50, "ms")
    claims["ready"] = claim(ready_s, 8, "s")
    claims["resident"] = claim(resident_mb, 700, "MB")
    claims["a second worker, when ready"] = claim(second_worker_mb, 120, "MB")
    many_of = f"{CLIENTS_AT_SATURATION} clients, {WORKERS_AT_SATURATION} workers"
    title = f"Answers of recsys serve, wrk beside it; saturation: {many_of}"
    columns = ("request", "p50 ms", "p99 ms", "floor p50 ms", "ratio", "degraded", "failed")
    print_table(Table(title, columns, rows), {} if quick else claims)
    if out is not None:
        details = {"loads": found, "ready_s": ready_s, "resident_mb": resident_mb, "second_worker_mb": second_worker_mb}
        write_result(out, "serving", {} if quick else claims, details)


def copy_of(config: Path, folder: Path) -> Path:
    """The project without its cache and its log, so that nothing of it is written to; returns its recsys.toml."""
    if not config.exists():
        raise click.ClickException(f"{config} is missing; run `make demo`, or name a trained project with --config")
    copied = folder / "project"
    shutil.copytree(config.parent, copied, ignore=shutil.ignore_patterns("cache", "events.db*", "log"))
    text = (copied / config.name).read_text()
    (copied / config.name).write_text(LOGGED_SHARE.sub("logged_features_share = 0.01", text))
    return copied / config.name


@dataclass(frozen=True)
class Asked:
    """Whom something is shown, and candidates in plenty."""

    user_id: str
    candidates: list[str]

    def body(self, load: Load) -> bytes:
        """The body of the request."""
        if not load.candidates:
            return json.dumps({"user_id": self.user_id, "limit": 10}).encode()
        return json.dumps({"user_id": self.user_id, "candidates": self.candidates[: load.candidates]}).encode()


@dataclass(frozen=True)
class Floor:
    """The models of the champion in this process."""

    live: Live
    ranker: Ranker

    @classmethod
    def of(cls, workspace: Workspace) -> "Floor":
        bundle = open_bundle(champion(workspace.bundles))
        return cls(load_engine(workspace).live, open_ranker(bundle.path, bundle.manifest.features))

    def p50_ms(self, load: Load, asked: Sequence[Asked], seconds: float) -> float:
        """Of interest, features and trees for these users and candidates."""
        recommender, index = self.live.recommender, self.live.catalogue.index
        users = [self.live.user(one.user_id, Course(60_000.0)) for one in asked]
        candidates = [np.array([index[item] for item in one.candidates[: load.candidates]]) for one in asked]

        def rank(at: int) -> Any:
            signals = recommender.signals(users[at], candidates[at])
            return self.ranker.predict(recommender.assemble(users[at], candidates[at], signals), num_threads=1)

        def recommend(at: int) -> Any:
            prepared = recommender.prepare(users[at], recommender.nothing(), recommender.signals(users[at]))
            return self.ranker.predict(prepared.matrix, num_threads=1)

        return median(times_of(rank if load.candidates else recommend, len(asked), seconds)) * 1000


def requests_of(workspace: Workspace, count: int) -> list[Asked]:
    """Of users drawn from the log, each with items drawn from the catalogue."""
    random = np.random.default_rng(0)
    users = workspace.read_table("interactions").sort(TIMESTAMP)[USER_ID].unique(maintain_order=True).to_list()
    items = workspace.read_table("items")[ITEM_ID].to_list()
    most = min(max(load.candidates for load in LOADS), len(items))
    return [
        Asked(user, random.choice(items, most, replace=False).tolist())
        for user in random.choice(users, min(count, len(users)), replace=False).tolist()
    ]


def measure(
    server: Served, floor: Floor, asked: Sequence[Asked], folder: Path, *, turns: int, seconds: int
) -> dict[str, dict[str, float]]:
    """By load what wrk says of one client, medians over the turns, with `floor_p50_ms`."""
    found: dict[str, list[dict[str, float]]] = {load.name: [] for load in LOADS}
    # The first turn warms up.
    for _ in range(turns + 1):
        for load in LOADS:
            turn = ask(server, load, asked, folder, clients=1, seconds=seconds)
            found[load.name].append(turn | {"floor_p50_ms": floor.p50_ms(load, asked, seconds)})
    return {name: median_of(parts[1:]) for name, parts in found.items()}


def saturate(server: Served, asked: Sequence[Asked], folder: Path, *, turns: int, seconds: int) -> dict[str, float]:
    """What wrk says of many clients at once."""
    # The first turn warms up.
    found = [
        ask(server, LOADS[0], asked, folder, clients=CLIENTS_AT_SATURATION, seconds=seconds) for _ in range(turns + 1)
    ]
    return median_of(found[1:])


def median_of(turns: Sequence[dict[str, float]]) -> dict[str, float]:
    """Medians of times and rates; what was degraded or failed is counted together."""
    summed = ("requests", "degraded", "failed")
    return {
        name: float(sum(turn[name] for turn in turns) if name in summed else median(turn[name] for turn in turns))
        for name in turns[0]
    }


def ask(
    server: Served, load: Load, asked: Sequence[Asked], folder: Path, *, clients: int, seconds: int
) -> dict[str, float]:
    """What wrk says of one turn."""
    bodies = folder / "bodies"
    bodies.write_bytes(b"\n".join(one.body(load) for one in asked))
    route = "rank" if load.candidates else "recommend"
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "-s", str(SCRIPT)]
    command.append(f"http://{server.host}:{server.port}/v1/{route}")
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "BODIES": str(bodies)})
    if done.returncode:
        raise click.ClickException(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def times_of(work: Callable[[int], Any], count: int, seconds: float) -> Iterator[float]:
    """Seconds of each call, with 0, 1, … and again from 0, for so long and at least once each."""
    end, at = time.perf_counter() + seconds, 0
    while at < count or time.perf_counter() < end:
        started = time.perf_counter()
        work(at % count)
        yield time.perf_counter() - started
        at += 1


if __name__ == "__main__":
    main()
