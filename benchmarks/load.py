"""An hour of load: does the memory of a server stay as it is, and do its answers?

Clients send every kind of request (benchmarks.load_mix) to `recsys serve` at a steady rate, over a copy of a project.
Some time before the hour warms up: what is kept of users, items and conditions fills. From there on memory counts, read
every ten seconds. What users do stays in memory until the next snapshot, which nobody makes here: about a kilobyte an
event. Of twenty requests a second one or two are events, so that this comes to some 7 MB in an hour.

Reads   CONFIG, a trained project; without it a small synthetic shop is made and trained first
Writes  OUT

    python -m benchmarks.load --json load.json
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import NamedTuple

import click
import numpy as np

from benchmarks.events import project
from benchmarks.harness import Table, claim, print_table, write_result
from benchmarks.load_mix import Mix, mixes_of
from benchmarks.resident import Flatness, Sample, flatness, sampled
from benchmarks.served import Client, Served, served
from benchmarks.serving import copy_of
from recsys.workspace import Workspace

MINUTES = 60.0
QUICK_MINUTES = 0.1
WARM_UP_MINUTES = 20.0
"""Of 20 requests a second all users ask in this time, and of a few thousand items most are asked for."""
QUICK_WARM_UP_MINUTES = 0.02
PER_SECOND = 20.0
CLIENTS = 4
SAMPLES_EVERY_S = 10.0
PARTS = 10


class Answered(NamedTuple):
    """When it was asked for, in seconds since the start, how long the answer took, and what was wrong with it."""

    kind: str
    at: float
    seconds: float
    failure: str | None


@dataclass
class Load:
    """What clients and the one that watches memory found, in the minutes of the warm-up and in those after it."""

    warm_up: float
    minutes: float
    samples: list[Sample]
    answers: list[Answered] = field(repr=False)

    @property
    def memory(self) -> Flatness:
        """All that is resident, after the warm-up."""
        return self._after_warm_up(lambda sample: sample.held)

    @property
    def anonymous(self) -> Flatness:
        """What is of no file, after the warm-up."""
        return self._after_warm_up(lambda sample: sample.anonymous)

    def failures(self) -> dict[str, int]:
        return dict(Counter(f"{one.kind}: {one.failure}" for one in self.answers if one.failure is not None))

    def by_part(self) -> list[dict[str, float]]:
        """By tenth of the whole time the requests, and the milliseconds of their answers."""
        parts, minutes = [], self.warm_up + self.minutes
        for part in range(PARTS):
            # What was due at the end may be asked for after it.
            ends = [60 * minutes * edge / PARTS for edge in (part, part + 1 if part + 1 < PARTS else np.inf)]
            times = [1000 * one.seconds for one in self.answers if ends[0] <= one.at < ends[1]]
            p50, p99 = np.percentile(times, [50, 99]).tolist() if times else (np.nan, np.nan)
            parts.append({"requests": float(len(times)), "p50_ms": p50, "p99_ms": p99})
        return parts

    def _after_warm_up(self, what: Callable[[Sample], int]) -> Flatness:
        samples = [sample for sample in self.samples if sample.at >= 60 * self.warm_up]
        return flatness([sample.at for sample in samples], [what(sample) for sample in samples])


@click.command()
@click.option("--config", "config_path", type=click.Path(path_type=Path, exists=True), help="A trained project")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=MINUTES, show_default=True)
@click.option("--warm-up", type=click.FloatRange(min=0), default=WARM_UP_MINUTES, show_default=True, help="Minutes")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=PER_SECOND, show_default=True)
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes of the server")
@click.option("--quick", is_flag=True, help="A few seconds, no claims: for the tests")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Where the result is written")
def main(
    config_path: Path | None,
    minutes: float,
    warm_up: float,
    rate: float,
    workers: int,
    quick: bool,
    out: Path | None,
) -> None:
    """Measure, print a table, write the result."""
    warm_up, minutes = (QUICK_WARM_UP_MINUTES, QUICK_MINUTES) if quick else (warm_up, minutes)
    with project(config_path) as config, TemporaryDirectory(prefix="recsys-load-") as name:
        copied = copy_of(config, Path(name))
        mixes = mixes_of(Workspace.open(copied), CLIENTS)
        every_s = min(SAMPLES_EVERY_S, 60 * minutes / 20)
        with served(copied, workers=workers) as server:
            load = loaded(server, mixes, warm_up=warm_up, minutes=minutes, rate=rate, every_s=every_s)
    memory, anonymous, failures = load.memory, load.anonymous, load.failures()
    claims = {
        "memory, most deviation": claim(memory.deviation_percent, 5, f"%, {minutes:g} minutes"),
        "failed": claim(sum(failures.values()), 0, f"of {len(load.answers)} requests"),
    }
    parts = load.by_part()
    rows = [(at + 1, int(part["requests"]), part["p50_ms"], part["p99_ms"]) for at, part in enumerate(parts)]
    print_table(
        Table(
            f"{warm_up:g} minutes of warm-up and {minutes:g} more, {rate:g} requests a second",
            ("tenth", "requests", "p50 ms", "p99 ms"),
            rows,
        ),
        {} if quick else claims,
    )
    for what, of in (("memory", memory), ("of which of no file", anonymous)):
        click.echo(
            f"{what}, after the warm-up: {of.start_mb:.1f} MB at the start, {of.end_mb:.1f} MB at the end, "
            f"{of.slope_mb_an_hour:+.1f} MB an hour, at most {of.deviation_percent:.1f} % from the start"
        )
    for what, count in failures.items():
        click.echo(f"failed: {count} × {what}")
    if out is not None:
        details = {
            "warm_up": warm_up,
            "minutes": minutes,
            "per_second": rate,
            "workers": workers,
            "requests": dict(Counter(one.kind for one in load.answers)),
            "failures": failures,
            "memory": memory._asdict(),
            "anonymous": anonymous._asdict(),
            "samples": load.samples,
            "parts": parts,
        }
        write_result(out, "load", {} if quick else claims, details)


def loaded(
    server: Served, mixes: Sequence[Mix], *, warm_up: float, minutes: float, rate: float, every_s: float
) -> Load:
    """Send as many requests a second, one client a mix, and look at the memory of the server now and then."""
    ended, seconds = Event(), 60 * (warm_up + minutes)
    with ThreadPoolExecutor(len(mixes) + 1) as pool:
        watching = pool.submit(sampled, server.process.pid, ended, every_s=every_s)
        started = time.monotonic()
        clients = [
            pool.submit(_ask, server.client(), mix, started + at / rate, started, seconds, len(mixes) / rate)
            for at, mix in enumerate(mixes)
        ]
        try:
            answers = [answer for client in clients for answer in client.result()]
        finally:
            ended.set()
    return Load(warm_up, minutes, watching.result(), answers)


def _ask(client: Client, mix: Mix, due: float, started: float, seconds: float, pause: float) -> list[Answered]:
    """One request after the other, each when it is due, or at once where the one before took longer."""
    found = []
    with closing(client):
        while due < started + seconds:
            time.sleep(max(0.0, due - time.monotonic()))
            sent = mix()
            asked = time.monotonic()
            failure = None
            try:
                status, _ = client.get(sent.route) if sent.body is None else client.post(sent.route, sent.body)
                if status != sent.expected:
                    failure = f"status {status}"
            except (OSError, HTTPException) as error:
                failure = type(error).__name__
                client.close()  # the next request opens it anew
            found.append(Answered(sent.kind, asked - started, time.monotonic() - asked, failure))
            due += pause
    return found


if __name__ == "__main__":
    main()
