"""How fast are training rows joined in time: our Polars offline store against Feast's DuckDB store, and are they equal.

Writes  OUT

Each join runs in a process of its own, and the two stores take turns. Both use every core.

    python -m benchmarks.offline_features --json offline_features.json
"""

import os
from math import isclose
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.harness import RUNS, Table, claim, in_own_process, print_table, write_result
from benchmarks.offline_cases import DUCKDB, POLARS, differences, feast_store, random_case
from benchmarks.offline_join import STORES, write_inputs

ROWS, QUICK_ROWS = 1_000_000, 2_000
CASES, QUICK_CASES = 1_000, 3


@click.command()
@click.option("--quick", is_flag=True, help="Few rows and cases, no claims: for the tests")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Where the result is written")
def main(quick: bool, out: Path | None) -> None:
    """Measure, print a table, write the result."""
    rows, cases = (QUICK_ROWS, QUICK_CASES) if quick else (ROWS, CASES)
    with TemporaryDirectory() as name:
        joined = join(Path(name), rows, runs=1 if quick else RUNS)
        mismatches = sum(mismatch(Path(name), seed) for seed in range(cases))
    ours, theirs = joined["polars"], joined["duckdb"]
    claims = {}
    if not quick:
        claims["join_1m_vs_duckdb"] = claim(theirs["seconds"] / ours["seconds"], 10, "× as fast")
        claims["memory_1m_vs_duckdb"] = claim(ours["peak_mb"] / theirs["peak_mb"], 0.5, "of its memory")
        claims["mismatches_of_1000"] = claim(mismatches, 0, "cases")
    table = [(name, found["seconds"], found["peak_mb"]) for name, found in joined.items()]
    print_table(Table(f"{rows:,} rows × 30 features joined in time", ("store", "s", "MB"), table), claims)
    if out is not None:
        details = {"threads": os.cpu_count(), "rows": rows, "joined": joined, "cases": cases, "mismatches": mismatches}
        write_result(out, "offline_features", claims, details)


def join(folder: Path, rows: int, *, runs: int) -> dict[str, dict[str, Any]]:
    """Median seconds and MB above what the process had before, for each store, and every run."""
    write_inputs(folder, rows)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in STORES}
    for _ in range(runs):
        for name in STORES:
            found[name].append(_run(name, folder))
    sums = [runs_of[0].pop("sums") for runs_of in found.values()]
    if not all(isclose(left, right, rel_tol=1e-9) for left, right in zip(*sums, strict=True)):
        raise click.ClickException("the two stores joined other values, expected the same; see `mismatch`")
    return {
        name: {
            **{figure: median(run[figure] for run in runs_of) for figure in ("seconds", "peak_mb")},
            "runs": [[run["seconds"], run["peak_mb"]] for run in runs_of],
        }
        for name, runs_of in found.items()
    }


def mismatch(folder: Path, seed: int) -> bool:
    """Whether the two stores differ in a random case, or ours has lost the order of the rows."""
    case = random_case(folder / "cases", seed)
    registries = folder / "registries" / str(seed)
    ours = case.ask(feast_store(registries, POLARS)).to_df()
    theirs = case.ask(feast_store(registries, DUCKDB)).to_df()
    return bool(differences(ours, theirs, case)) or ours["row"].tolist() != case.entity_df["row"].tolist()


def _run(name: str, folder: Path) -> dict[str, Any]:
    return in_own_process("benchmarks.offline_join", name, str(folder))


if __name__ == "__main__":
    main()
