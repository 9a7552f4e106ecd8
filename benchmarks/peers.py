"""Ours beside the recommenders that others use, on one split, with one code for the metrics.

Reads   examples/online_retail; PROJECT, where `make demo` has trained ours; what is missing there is trained
Writes  DIR/split and DIR/NAME, the split and what each peer recommended; OUT, every row

The split and the tasks are those of recsys.split: the last two weeks are measured on. Each peer has the same seconds
to try its settings on the 14 days before the cut, each task by its own ndcg@10, the published defaults first; the best
of them then learns from all before the cut. Ours has the settings of its configuration. On `all` a peer may recommend
what the user had, on `new` it filters that out. Each runs in a process of its own: fit s is the last fit alone, ms the
time of all users divided by their number, in the batches of the library (LensKit: one by one; ours: 64), MB the most
memory that the process has held. implicit, RecTools and LensKit run in .venv-peers, which `make peers` makes.

    make peers
    python -m benchmarks.peers --only ease --json peers.json
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from benchmarks.harness import Claim, Table, claim, in_own_process, print_table, write_result
from benchmarks.peers_split import TASKS, Cases, write_split
from benchmarks.quality import project
from recsys.metrics import NDCG_AT, Floats, mean_with_interval, per_user_metrics, summarise

OURS = "recsys"
NDCG = f"ndcg@{NDCG_AT}"
SHOWN = (NDCG, "recall@10", "recall@100")
TARGETS = {"all": 1.15, "new": 1.30}

IN_OURS = {
    "popularity": "simple",
    "personal_frequency": "simple",
    "frequency_and_popularity": "simple",
    "ease": "ease",
    "ease_weighted": "ease",
    "ease_and_frequency": "ease",
    "tifu_knn": "next_basket",
}
"""The module of each peer that needs no library, and runs in our environment."""

IN_THEIRS = {
    "als": "of_implicit",
    "bpr": "of_implicit",
    "cosine": "of_implicit",
    "tfidf": "of_implicit",
    "bm25": "of_implicit",
    "sasrec": "of_rectools",
    "bert4rec": "of_rectools",
    "item_knn": "of_lenskit",
    "implicit_mf": "of_lenskit",
    "slim": "of_lenskit",
}
PEERS = {**IN_OURS, **IN_THEIRS}

QUICK = ("popularity", "personal_frequency", "ease")
QUICK_SECONDS = 1.0
RESULT = "result.json"
THEIR_PYTHON = Path(".venv-peers/bin/python")


def recommend(name: str, workspace: Path, folder: Path, *, python: Path, seconds: float) -> None:
    """Let one of them write its lists, and what they cost, into FOLDER/NAME."""
    split, out = str(folder / "split"), folder / name
    if name == OURS:
        cost = in_own_process("benchmarks.peers_recsys", str(workspace), split, str(out))
    else:
        module = f"benchmarks.peer_models.{PEERS[name]}"
        environment = str(python.absolute()) if name in IN_THEIRS else sys.executable
        budget = ("--seconds", str(seconds))
        cost = in_own_process(module, name, split, str(out), *budget, python=environment)
        cost["budget_seconds"] = seconds
    (out / RESULT).write_text(json.dumps(cost))


def row_of(folder: Path, asked: Mapping[str, Cases]) -> tuple[dict[str, Any], dict[str, Floats]]:
    """What one of them costs and how good it is, by task; and the ndcg@10 of every user.

    Raises ClickException when it has written nothing there.
    """
    if not (folder / RESULT).exists():
        raise click.ClickException(f"{folder} holds no lists; run the benchmark without --only {folder.name} missing")
    row = json.loads((folder / RESULT).read_text())
    ndcg = {}
    for task in row["tasks"]:
        per_user = per_user_metrics(np.load(folder / f"ranked_{task}.npy"), asked[task].relevant)
        row["tasks"][task] |= summarise(per_user)
        ndcg[task] = per_user[NDCG]
    return row, ndcg


def measure(folder: Path, names: Sequence[str], asked: Mapping[str, Cases]) -> dict[str, Any]:
    """The rows; where ours is among them, each has under `behind` the mean by which ours is better and its interval."""
    found = {name: row_of(folder / name, asked) for name in names}
    if OURS in found:
        ours = found[OURS][1]
        for name, (row, ndcg) in found.items():
            for task in ndcg if name != OURS else ():
                row["tasks"][task]["behind"] = mean_with_interval(ours[task] - ndcg[task])
    return {name: row for name, (row, _) in found.items()}


def claims_of(rows: Mapping[str, Any]) -> dict[str, Claim]:
    """Our ndcg@10 over that of the best peer of each task."""
    claims = {}
    for task, target in TARGETS.items():
        ndcg = {name: row["tasks"][task][NDCG] for name, row in rows.items() if task in row["tasks"]}
        ours = ndcg.pop(OURS)
        best = max(ndcg, key=ndcg.__getitem__)
        claims[f"{task}_ndcg10_vs_best_peer"] = claim(ours / ndcg[best], target, f"× {best}")
    return claims


def tables_of(rows: Mapping[str, Any]) -> list[Table]:
    """One of quality for each task, the best first, and one of cost."""
    tables = []
    for task in TASKS:
        found = {name: row["tasks"][task] for name, row in rows.items() if task in row["tasks"]}
        of_task = []
        for name, one in sorted(found.items(), key=lambda item: -item[1][NDCG]):
            behind = "{:+.3f} [{:+.3f}, {:+.3f}]".format(*one["behind"]) if "behind" in one else ""
            of_task.append((name, *(f"{one[metric]:.4f}" for metric in SHOWN), behind))
        tables.append(Table(f"Online Retail, {task}", ("model", *SHOWN, f"{OURS} − model, {NDCG}"), of_task))
    cost = []
    for name, row in rows.items():
        of_all = row["tasks"]["all"]
        cost.append((name, row.get("trials", ""), of_all["fit_seconds"], of_all["ms_per_user"], round(row["peak_mb"])))
    return [*tables, Table("Cost", ("model", "settings tried", "fit s", "recommend ms/user", "MB"), cost)]


@click.command()
@click.option("--quick", is_flag=True, help="Three peers without ours on one user in ten, no claims: for the tests")
@click.option("--seconds", type=float, default=300.0, show_default=True, help="Each peer's to try its settings in")
@click.option("--project", "root", type=click.Path(path_type=Path), default="runs/demo", show_default=True)
@click.option("--dir", "folder", type=click.Path(path_type=Path), default="runs/peers", show_default=True)
@click.option("--only", multiple=True, type=click.Choice([OURS, *PEERS]), help="Run these; DIR holds the others' lists")
@click.option("--python", type=click.Path(path_type=Path), default=THEIR_PYTHON, show_default=True, help="The peers'")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Where the result is written")
def main(
    quick: bool, seconds: float, root: Path, folder: Path, only: tuple[str, ...], python: Path, out: Path | None
) -> None:
    """Run all, print the tables, write the result."""
    with TemporaryDirectory() as temporary:
        if quick:
            root, folder, seconds = Path(temporary) / "project", Path(temporary) / "peers", QUICK_SECONDS
        names = QUICK if quick else (*PEERS, OURS)
        run = only or names
        if set(run) & IN_THEIRS.keys() and not python.exists():
            raise click.ClickException(f"{python} is missing, which the peers need; `make peers` makes it")
        workspace = project("online_retail", root, quick=quick)
        asked = write_split(workspace, folder / "split")
        for name in run:
            print(f"{name} …", file=sys.stderr, flush=True)
            recommend(name, workspace.root, folder, python=python, seconds=seconds)
        rows = measure(folder, names, asked)
    claims = {} if quick else claims_of(rows)
    tables = tables_of(rows)
    for table in tables[:-1]:
        print_table(table, {})
    print_table(tables[-1], claims)
    if out is not None:
        users = {task: len(cases.users) for task, cases in asked.items()}
        write_result(out, "peers", claims, {"threads": os.cpu_count(), "users": users, "rows": rows}, tables)


if __name__ == "__main__":
    main()
