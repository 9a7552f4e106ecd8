"""How near the text model comes to what a GPU can do: fine-tuning, encoding, scoring and exhaustive retrieval.

And what it brings to score requests together that arrive together, against one by one.

The ceilings are measured beside: operations a second of a large matrix product, bytes a second of a large copy.

Reads   examples/online_retail
Writes  OUT

    python -m benchmarks.gpu_text --json gpu_text.json
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from benchmarks.exhaustive import ExhaustiveRetrieval
from benchmarks.harness import RUNS, Table, claim, interleaved, print_table, write_result
from benchmarks.online_retail import HISTORY_ITEMS
from recsys.bundle_files import BATCH_SCORER_FILE, ENCODER_FILE, SCORER_FILE, SMALLER_ENCODER_FILES, TOKENIZER_FILE
from recsys.config import Finetune, Text
from recsys.encoder import ItemEncoder
from recsys.interest import InterestScorer
from recsys.interest_inputs import Question
from recsys.state import UserState
from training.demo import DATA
from training.encoder import TextEncoder
from training.export import export_encoder
from training.export_scorer import export_scorer
from training.prepared import PreparedTexts
from training.pretrained import encoder_folder
from training.user_tower import UserTower

TEMPERATURE = 20.0
TOP = 500
CANDIDATES = 500
TOGETHER = 32
OF_EACH = 100
"""Requests that are scored together, and candidates of each."""

SAME = 1e-4
"""So much may their signals differ from those of requests that are scored one by one."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    texts: int
    texts_a_batch: int
    matrix: int
    copied_bytes: int
    catalogues: tuple[int, ...]


FULL = Sizes(50_000, 4096, 8192, 4 << 30, (1_000_000, 10_000_000))
QUICK = Sizes(64, 32, 128, 1 << 20, (1000, 2000))


@click.command()
@click.option("--quick", is_flag=True, help="Small, on the CPU as well, no claims: for the tests")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Where the result is written")
def main(quick: bool, out: Path | None) -> None:
    """Measure, print a table, write the result."""
    on_gpu = torch.cuda.is_available()
    if not on_gpu and not quick:
        raise click.ClickException("torch finds no CUDA device; this benchmark needs a GPU, --quick runs without")
    sizes, device = QUICK if quick else FULL, torch.device("cuda" if on_gpu else "cpu")
    runs = 1 if quick else RUNS
    ceilings = measure_ceilings(sizes, device, runs)
    with TemporaryDirectory() as name:
        text = measure_text(Path(name), sizes, device, ceilings["flops"], runs)
        score = measure_scoring(Path(name), runs)
        together = measure_together(Path(name), runs)
        retrieve = {
            str(items): measure_retrieval(Path(name), items, ceilings["bytes"], runs) for items in sizes.catalogues
        }
    claims = {}
    if not quick:
        claims = {
            "finetune_of_ceiling": claim(text["finetune"]["of_ceiling"], 0.3, "of the operations"),
            "encode_of_ceiling": claim(text["encode, ONNX Runtime"]["of_ceiling"], 0.3, "of the operations"),
            "score500_ms": claim(score, 2, "ms"),
            "retrieve_1m_of_bandwidth": claim(retrieve["1000000"]["of_bandwidth"], 0.5, "of the bytes"),
            "retrieve_10m_of_bandwidth": claim(retrieve["10000000"]["of_bandwidth"], 0.7, "of the bytes"),
        }
    rows = [(name, f"{found['texts_a_second']:,.0f} texts/s", found["of_ceiling"]) for name, found in text.items()]
    rows.append((f"score {CANDIDATES} candidates", f"{score:.2f} ms", ""))
    of_requests = f"score {TOGETHER} requests of {OF_EACH} candidates"
    rows += [
        (f"{of_requests}, one by one", f"{together['one_by_one_ms']:.2f} ms", ""),
        (f"{of_requests}, together", f"{together['together_ms']:.2f} ms", f"{together['times_as_fast']:.1f} × as fast"),
    ]
    rows += [
        (f"retrieve {TOP} of {int(n):,}", f"{found['ms']:.2f} ms", found["of_bandwidth"])
        for n, found in retrieve.items()
    ]
    print_table(Table(f"The text model on {device.type}", ("what", "measured", "of the ceiling"), rows), claims)
    if out is not None:
        write_result(
            out,
            "gpu_text",
            claims,
            {"ceilings": ceilings, "text": text, "score_ms": score, "together": together, "retrieve": retrieve},
        )


def measure_ceilings(sizes: Sizes, device: torch.device, runs: int) -> dict[str, float]:
    """Operations a second of a matrix product in the precision that trains, and bytes a second read and written."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    matrix = torch.randn(sizes.matrix, sizes.matrix, device=device, dtype=dtype)
    source = torch.zeros(sizes.copied_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    work = {"product": lambda: matrix @ matrix, "copy": lambda: target.copy_(source)}
    seconds = interleaved({name: finished(run) for name, run in work.items()}, runs=runs)
    return {"flops": 2 * sizes.matrix**3 / seconds["product"], "bytes": 2 * sizes.copied_bytes / seconds["copy"]}


def measure_text(folder: Path, sizes: Sizes, device: torch.device, flops: float, runs: int) -> dict[str, Any]:
    """Texts a second, and operations that these need of those that the device can do."""
    titles = pl.read_parquet(DATA, columns=["Description"])["Description"].unique().sort().drop_nulls().to_list()
    # Numbered, so that each is distinct.
    texts = [f"{title} {at}" for at, title in zip(range(sizes.texts), cycle(titles), strict=False)]
    encoder = TextEncoder(encoder_folder(None, folder), Text(), Finetune(method="full"))
    export_encoder(encoder, folder, texts=texts[:64], ndcg=lambda vectors: 1.0)
    tower = encoder.merged().to(device)
    if device.type == "cuda":
        tower.half()
    tokens = encoder.tokens(texts)
    by_length = sorted(range(len(texts)), key=lambda at: len(tokens[at]))
    batches = [by_length[at : at + sizes.texts_a_batch] for at in range(0, len(texts), sizes.texts_a_batch)]

    def encode() -> None:
        with torch.inference_mode():
            for batch in batches:
                ids = pad_sequence([tokens[at] for at in batch], batch_first=True).to(device)
                mask = (torch.arange(ids.shape[1]) < torch.tensor([len(tokens[at]) for at in batch])[:, None]).long()
                tower(ids, mask.to(device))

    file = SMALLER_ENCODER_FILES["fp16"] if device.type == "cuda" else ENCODER_FILE
    ours = ItemEncoder(folder / file, folder / TOKENIZER_FILE, max_tokens=Text().max_tokens)
    prepared = PreparedTexts(encoder, texts, device)
    optimiser = torch.optim.AdamW(encoder.trained_parameters(), lr=1e-5, fused=True)
    batch = np.random.default_rng(0).choice(len(texts), sizes.texts_a_batch, replace=False).tolist()

    def finetune() -> None:
        vectors = prepared.encode(batch)
        loss = nn.functional.cross_entropy(TEMPERATURE * vectors @ vectors.T, neighbours(len(batch), device))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    work = {"encode, torch": encode, "encode, ONNX Runtime": lambda: ours.encode(texts), "finetune": finetune}
    seconds = interleaved({name: finished(run) for name, run in work.items()}, runs=runs)
    weights = sum(module.weight.numel() for module in tower.modules() if isinstance(module, nn.Linear))
    everything = sum(len(found) for found in tokens)
    # Forward every weight is multiplied and added once a token; backward, once for the weights and once for the rest.
    needed = dict.fromkeys(work, 2 * weights * everything)
    needed["finetune"] = 6 * weights * sum(len(tokens[at]) for at in batch)
    count = dict.fromkeys(work, len(texts)) | {"finetune": len(batch)}
    return {
        name: {"texts_a_second": count[name] / taken, "of_ceiling": needed[name] / taken / flops}
        for name, taken in seconds.items()
    }


def measure_scoring(folder: Path, runs: int) -> float:
    """Milliseconds to score CANDIDATES for a user with a full history, as a server does."""
    scorer = scorer_of(folder)
    (asked,) = questions(scorer, 1, CANDIDATES)
    seconds = interleaved({"score": lambda: scorer.score(*asked)}, runs=20 * runs)["score"]
    return 1000 * seconds


def measure_together(folder: Path, runs: int) -> dict[str, float]:
    """Milliseconds to score TOGETHER requests of OF_EACH candidates each in one run, and in a run for each."""
    scorer = scorer_of(folder)
    asked = questions(scorer, TOGETHER, OF_EACH)
    work = {
        "one by one": lambda: [scorer.score(*question) for question in asked],
        "together": lambda: scorer.score_many(asked),
    }
    difference = max(np.abs(one - other).max() for one, other in zip(*(run() for run in work.values()), strict=True))
    if difference > SAME:
        raise click.ClickException(f"requests scored together differ by {difference:.2g}; expected at most {SAME}")
    seconds = interleaved(work, runs=5 * runs)
    alone, together = seconds["one by one"], seconds["together"]
    return {"one_by_one_ms": 1000 * alone, "together_ms": 1000 * together, "times_as_fast": alone / together}


def scorer_of(folder: Path) -> InterestScorer:
    """One of 20 × CANDIDATES items, for full histories."""
    vectors = np.random.default_rng(0).standard_normal((20 * CANDIDATES, ExhaustiveRetrieval.dimension), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (folder / SCORER_FILE).exists():
        tower = UserTower(["purchase"], {"purchase": 1.0}, TEMPERATURE)
        export_scorer(tower, ExhaustiveRetrieval.dimension, folder / SCORER_FILE)
    batch = folder / BATCH_SCORER_FILE
    return InterestScorer(folder / SCORER_FILE, vectors, history_items=HISTORY_ITEMS, batch=batch)


def questions(scorer: InterestScorer, users: int, candidates: int) -> list[Question]:
    """Of users with a full history, each about so many candidates."""
    random, items = np.random.default_rng(1), len(scorer.vectors)
    ages = np.arange(HISTORY_ITEMS, dtype=np.float64)
    found = []
    for _ in range(users):
        history = random.choice(items, HISTORY_ITEMS, replace=False)
        types = np.full(HISTORY_ITEMS, "purchase")
        user = UserState(ages, history, np.ones_like(ages), -ages, -ages, types, 0 * ages)
        found.append(Question(user, 0.0, random.choice(items, candidates, replace=False)))
    return found


def measure_retrieval(folder: Path, items: int, bytes_a_second: float, runs: int) -> dict[str, float]:
    """Milliseconds to find the TOP of a catalogue, and the bytes of its vectors against those that can be read."""
    retrieval = ExhaustiveRetrieval(folder, items, top=min(TOP, items))
    history = np.random.default_rng(1).standard_normal((1, retrieval.dimension)).astype(np.float32)
    seconds = interleaved({"retrieve": lambda: retrieval.best(history)}, runs=runs)["retrieve"]
    return {"ms": 1000 * seconds, "of_bandwidth": retrieval.bytes / seconds / bytes_a_second}


def neighbours(count: int, device: torch.device) -> Tensor:
    """What stands for the item chosen together with each: its neighbour."""
    return torch.arange(count, device=device) ^ 1


def finished(run: Callable[[], object]) -> Callable[[], None]:
    """The same, returning when the device is done."""

    def wait() -> None:
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return wait


if __name__ == "__main__":
    main()
