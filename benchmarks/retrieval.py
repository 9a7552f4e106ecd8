"""The 300 items of a million that are nearest by interest: an index, and beside it all items compared.

Real users of Online Retail, each with up to 100 items of history, in a catalogue of which their items are a part
(benchmarks.made_catalogue). A request goes the whole way: from the history through the index to the interest that
scorer.onnx says of what it found, and the best 300. Recall is the share of the 300 best of all items by the same
interest. The floor of comparing all items is reading their vectors once, at the speed of the memory.

Reads   examples/online_retail
Writes  OUT, and FOLDER with what is slow to make

    python -m benchmarks.retrieval --json retrieval.json
    pip install hnswlib usearch; python -m benchmarks.retrieval --compare    # beside it what finds single vectors
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click
import numpy as np
import polars as pl
import torch
from threadpoolctl import threadpool_limits

from benchmarks.exhaustive import ExhaustiveRetrieval
from benchmarks.harness import RUNS, Table, claim, interleaved, print_table, write_result
from benchmarks.made_catalogue import encoded, enlarged, made_titles
from benchmarks.online_retail import TEMPERATURE, OnlineRetail
from recsys.bundle_files import SCORER_FILE
from recsys.interest import SIGNALS, InterestScorer, Vectors
from recsys.retrieval.merge import best
from recsys.retrieval.nearest import NearestItems
from recsys.schema import ITEM_ID, TIMESTAMP, USER_ID
from recsys.split import split_by_time
from recsys.state import Positions, UserState
from training.export_scorer import export_scorer
from training.user_tower import UserTower

TOP: Final = 300
ASKED_FOR: Final = 3 * TOP
"""Of the index, which orders roughly: as many for each that is needed as the engine asks for."""
THREADS: Final = 2
HISTORY_ITEMS: Final = 100
ROWS_AT_ONCE: Final = 20_000
FOLDER: Final = Path.home() / ".cache" / "recsys" / "retrieval"


@click.command()
@click.option("--quick", is_flag=True, help="3,000 items, no claims: for the tests")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Where the result is written")
@click.option("--folder", type=click.Path(path_type=Path), default=FOLDER, show_default=True, help="Of what is kept")
@click.option("--compare", is_flag=True, help="Other libraries too: hours, and 4 GB of memory")
@click.option("--items", type=click.IntRange(1), help="Of the catalogue, for a look: then there are no claims")
def main(quick: bool, out: Path | None, folder: Path, compare: bool, items: int | None) -> None:
    """Measure, print a table, write the result."""
    if sys.platform == "linux":
        # Whatever a library takes for the number of threads.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    count = items or (3000 if quick else 1_000_000)
    texts, users = (300, 3) if quick else (50_000, 100)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as name:
        data = OnlineRetail.imported(Path(name))
        titles = list(dict.fromkeys(data.texts))[:texts]
        vectors = enlarged(encoded(made_titles(titles, min(texts, count)), folder), count, folder)
        tower = UserTower(["purchase"], {"purchase": 1.0}, TEMPERATURE)
        export_scorer(tower, vectors.shape[1], Path(name) / SCORER_FILE)
        scorer = InterestScorer(Path(name) / SCORER_FILE, vectors, history_items=HISTORY_ITEMS, threads=THREADS)
        asking = users_of(data, titles, users)
        now = data.cut.timestamp()
        truth = [exact(scorer, user, now) for user in asking]
        index, build = built(vectors, Path(name))
        nothing = np.zeros(count, dtype=np.bool_)

        def nearest(user: UserState) -> Positions:
            interest = scorer.soft_maximum(user, now)
            assert interest is not None
            return top(scorer, user, now, index.near(interest, limit=ASKED_FOR, exclude=nothing))

        runs = 1 if quick else RUNS
        # As `recsys serve` has it.
        with threadpool_limits(1, "blas"):
            ours = {**measure(nearest, asking, truth, runs), **build}
        compared = interleaved({"all": lambda: exact(scorer, asking[0], now)}, runs=runs)["all"]
        scan = measure_scan(Path(name), count, runs)
        others = {}
        if compare:
            # Neither usearch nor hnswlib, which is compiled when it is installed, is needed for anything else.
            from benchmarks.retrieval_libraries import measured

            others = measured(vectors, asking, truth, lambda user, found: top(scorer, user, now, found))
    claims = {}
    if not quick and items is None:
        claims = {
            "ann_1m_ms": claim(ours["p50_ms"], 10, "ms"),
            "ann_1m_recall": claim(ours["recall"], 0.95, f"of the best {TOP}"),
            "exact_1m_of_bandwidth": claim(scan["of_bandwidth"], 0.5, "of the bytes"),
        }
    rows: list[tuple[object, ...]] = [("the engine's index", *figures(ours))]
    for library, settings in others.items():
        rows += [(f"{library}, {name}", *figures(found)) for name, found in settings.items()]
    rows.append(("all items, by interest", 1.0, 1000 * compared, "", "", ""))
    rows.append(("all items, by one vector", 1.0, scan["ms"], "", "", scan["mb"]))
    print_table(
        Table(f"The best {TOP} of {count:,}", ("with", "recall", "p50 ms", "p99 ms", "build s", "MB"), rows), claims
    )
    if out is not None:
        details = {"items": count, "users": len(asking), "threads": THREADS, "index": ours, "scan": scan}
        details |= {"all_by_interest_ms": 1000 * compared, "libraries": others}
        write_result(out, "retrieval", claims, details)


def users_of(data: OnlineRetail, titles: list[str], count: int) -> list[UserState]:
    """Some users with what they bought before the cut, as positions in the titles; the same ones every time."""
    place = {title: at for at, title in enumerate(titles)}
    at_of = {item: place.get(text) for item, text in zip(data.catalogue.item_ids, data.texts, strict=True)}
    known, _ = split_by_time(data.interactions, data.cut)
    bought = (
        known.with_columns(at=pl.col(ITEM_ID).replace_strict(at_of, default=None, return_dtype=pl.Int64))
        .drop_nulls("at")
        .group_by(USER_ID, "at")
        .agg(last=pl.col(TIMESTAMP).max(), occasions=pl.col(TIMESTAMP).n_unique())
        .sort("last", "at", descending=True)
    )
    found = []
    for rows in bought.partition_by(USER_ID, maintain_order=True):
        last = rows["last"].dt.timestamp("us").to_numpy() / 1e6
        types, nothing = np.full(len(rows), "purchase"), np.zeros(len(rows))
        occasions = rows["occasions"].to_numpy().astype(np.float64)
        found.append(UserState(np.empty(0), rows["at"].to_numpy(), occasions, last, last, types, nothing))
    return [found[at] for at in np.random.default_rng(0).permutation(len(found))[:count]]


def exact(scorer: InterestScorer, user: UserState, now: float) -> Positions:
    """The best TOP of all items."""
    interest = scorer.soft_maximum(user, now)
    assert interest is not None
    blocks = range(0, len(scorer.vectors), ROWS_AT_ONCE)
    scores = [interest.of_vectors(scorer.vectors[start : start + ROWS_AT_ONCE]) for start in blocks]
    return best(np.concatenate(scores).astype(np.float64), TOP)


def top(scorer: InterestScorer, user: UserState, now: float, found: Positions) -> Positions:
    """The best TOP of some items, by what scorer.onnx says."""
    scores = scorer.score(user, now, found)[:, SIGNALS.index("text_interest")]
    return found[best(scores.astype(np.float64), TOP)]


def built(vectors: Vectors, folder: Path) -> tuple[NearestItems, dict[str, float]]:
    """The engine's index out of its file, as a server has it; seconds to make it, MB of the file."""
    path = folder / "nearest.faiss"
    started = time.perf_counter()
    NearestItems.of(vectors).save(path)
    seconds = time.perf_counter() - started
    return NearestItems.load(path), {"build_s": seconds, "mb": path.stat().st_size / 1e6}


def measure(
    retrieve: Callable[[UserState], Positions], users: list[UserState], truth: list[Positions], runs: int
) -> dict[str, float]:
    """Recall, and the time of single requests, each user's median; one run to warm up."""
    shares = [float(np.isin(best, retrieve(user)).mean()) for user, best in zip(users, truth, strict=True)]
    seconds = np.empty((runs, len(users)))
    for run in range(runs):
        for at, user in enumerate(users):
            started = time.perf_counter()
            retrieve(user)
            seconds[run, at] = time.perf_counter() - started
    p50, p99 = np.percentile(1000 * np.median(seconds, axis=0), [50, 99])
    return {"recall": float(np.mean(shares)), "p50_ms": float(p50), "p99_ms": float(p99)}


def measure_scan(folder: Path, count: int, runs: int) -> dict[str, float]:
    """All items compared with one vector, against reading their bytes."""
    retrieval = ExhaustiveRetrieval(folder, count, top=TOP, threads=THREADS)
    query = np.random.default_rng(1).standard_normal((1, retrieval.dimension)).astype(np.float32)
    torch.set_num_threads(THREADS)
    memory = torch.ones(retrieval.bytes // 4)
    seconds = interleaved({"scan": lambda: retrieval.best(query), "read": memory.sum}, runs=runs)
    return {
        "ms": 1000 * seconds["scan"],
        "mb": retrieval.bytes / 1e6,
        "gb_a_second": retrieval.bytes / seconds["read"] / 1e9,
        "of_bandwidth": seconds["read"] / seconds["scan"],
    }


def figures(found: dict[str, Any]) -> tuple[object, ...]:
    """The columns of the table."""
    return tuple(found[name] for name in ("recall", "p50_ms", "p99_ms", "build_s", "mb"))


if __name__ == "__main__":
    main()
