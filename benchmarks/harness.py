"""What every benchmark shares: contestants that take turns, the machine, and the form of a result."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import click
from rich import table as rich
from rich.console import Console

RUNS = 5

Claim = dict[str, float | str]


class Table(NamedTuple):
    """What was measured; floats are shown with three digits."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def interleaved(contestants: Mapping[str, Callable[[], object]], *, runs: int = RUNS) -> dict[str, float]:
    """Median seconds of each, after one run to warm up. They take turns, so that a busy machine is busy for all."""
    for run in contestants.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(runs):
        for name, run in contestants.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: median(found) for name, found in seconds.items()}


def in_own_process(module: str, *arguments: str, python: str = sys.executable) -> dict[str, Any]:
    """What `python -m MODULE ARGUMENTS` prints as JSON on its last line. Raises ClickException when it fails."""
    command = [python, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if done.returncode:
        raise click.ClickException(f"{' '.join(command)} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def claim(measured: float, target: float, unit: str) -> Claim:
    """A figure that an issue asks for, and what it asks for."""
    return {"measured": measured, "target": target, "unit": unit}


def write_result(
    out: Path, bench: str, claims: Mapping[str, Claim], details: Mapping[str, Any], tables: Sequence[Table] = ()
) -> None:
    """Write {"bench", "machine", "commit", "claims", "tables", "details"} as JSON; the page shows the tables."""
    result = {
        "bench": bench,
        "machine": machine(),
        "commit": commit(),
        "claims": claims,
        "tables": [table._asdict() for table in tables],
        "details": details,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")


def print_table(table: Table, claims: Mapping[str, Claim]) -> None:
    """What was measured, and below it what was claimed."""
    printed = rich.Table(*table.columns, title=table.title)
    for row in table.rows:
        printed.add_row(*map(shown, row))
    console = Console(width=120)
    console.print(printed)
    for name, found in claims.items():
        console.print(f"{name}: {found['measured']:.3g} {found['unit']}, target {found['target']}")


def shown(value: object) -> str:
    """As it stands in a table."""
    return f"{value:,.3g}" if isinstance(value, float) else str(value)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {"cpu": _cpu(), "cores": os.cpu_count(), "gpu": _gpu(), "system": platform.system()}


def commit() -> str:
    """The commit of the working tree, with + behind it when files differ; "unknown" outside of git."""
    folder = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--exclude=*", "--dirty=+"],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _gpu() -> str | None:
    try:
        names = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        found = subprocess.run(names, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip() or None
