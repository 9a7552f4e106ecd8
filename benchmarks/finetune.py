"""What fine-tuning gains by encoding each distinct item of a batch once, with the frozen layers' output kept.

An example is a user: up to 40 items of the history, and the item that came next. The loss is the same for both ways:
softmax over the next items of the batch, of the log-sum-exp of the cosines to the history. Ours is how the fine-tuner
encodes a batch; the plain way runs every text of every example through the whole encoder, padded to the longest. Both
train the same layers with the same optimiser on the same batches, so that after equal examples the loss is equal.

Reads   examples/online_retail, the seconds of the text stage in REPORT
Writes  OUT

    python -m benchmarks.finetune --json finetune.json
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from benchmarks.harness import RUNS, Table, claim, print_table, write_result
from benchmarks.online_retail import HISTORY_ITEMS, TEMPERATURE, OnlineRetail
from recsys.config import Finetune, Text
from recsys.state import Positions
from training.encoder import TextEncoder
from training.prepared import PreparedTexts
from training.pretrained import encoder_folder

EXAMPLES_A_BATCH = 128
LOSS_TOLERANCE = 1e-3
REPORT = Path("runs/demo/report.json")

Encode = Callable[[Positions], Tensor]


@click.command()
@click.option("--quick", is_flag=True, help="Two small steps, no claims: for the tests")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Where the result is written")
@click.option("--report", type=click.Path(path_type=Path), default=REPORT, show_default=True, help="Of recsys demo")
@click.option("--threads", default=os.cpu_count() or 1, show_default=True, help="Of both")
def main(quick: bool, out: Path | None, report: Path, threads: int) -> None:
    """Measure, print a table, write the result."""
    torch.set_num_threads(threads)
    with TemporaryDirectory() as name:
        data = OnlineRetail.imported(Path(name))
        pretrained = encoder_folder(None, Path(name))
    histories = [items[: 1 + (2 if quick else HISTORY_ITEMS)] for items in data.histories().values() if len(items) > 1]
    random = np.random.default_rng(0)
    size, steps = (2, 2) if quick else (EXAMPLES_A_BATCH, 1 + RUNS)
    batches = [[histories[at] for at in random.choice(len(histories), size, replace=False)] for _ in range(steps)]
    # In the quick run only what it reads is prepared.
    texts = (
        data.texts if not quick else _only(data.texts, np.concatenate([items for found in batches for items in found]))
    )

    ours = TextEncoder(pretrained, Text(), Finetune())
    started = time.perf_counter()
    prepared = PreparedTexts(ours, texts)
    prepare_seconds = time.perf_counter() - started
    plain = TextEncoder(pretrained, Text(), Finetune())
    ways = {
        "distinct items, cached layers": Trainer(ours, lambda items: prepared.encode(items.tolist())),
        "every text, all layers": Trainer(plain, plain_way(plain, texts)),
    }
    for batch in batches:
        for trainer in ways.values():
            trainer.step(batch)
    losses = np.array([trainer.losses for trainer in ways.values()])
    difference = float(np.abs(losses[0] - losses[1]).max())
    if not difference < LOSS_TOLERANCE:
        raise click.ClickException(f"the losses differ by {difference:.2g} after equal examples; expected equal ones")
    # The first step warms up.
    fast, slow = (median(trainer.seconds[1:]) for trainer in ways.values())
    fast_cpu, slow_cpu = (median(trainer.cpu_seconds[1:]) for trainer in ways.values())
    details = {
        "threads": threads,
        "examples_a_batch": size,
        "texts_a_batch": float(np.mean([sum(map(len, batch)) for batch in batches])),
        "distinct_texts_a_batch": float(np.mean([len(np.unique(np.concatenate(batch))) for batch in batches])),
        "examples_a_second": {name: size / taken for name, taken in zip(ways, (fast, slow), strict=True)},
        "distinct_cached_vs_plain": slow / fast,
        "distinct_cached_vs_plain_in_cpu_seconds": slow_cpu / fast_cpu,
        "prepare_seconds": prepare_seconds,
        "with_preparation_over_40_steps": 40 * slow / (40 * fast + prepare_seconds),
        "losses": {name: trainer.losses for name, trainer in ways.items()},
    }
    claims = {}
    if not quick:
        claims["distinct_cached_vs_plain"] = claim(slow / fast, 5, "× the examples/s")
        if report.exists():
            claims["text_stage_seconds"] = claim(json.loads(report.read_text())["seconds"]["text"], 180, "s")
    rows = [
        (name, size / taken, slow / taken, trainer.losses[-1])
        for (name, trainer), taken in zip(ways.items(), (fast, slow), strict=True)
    ]
    print_table(Table("Fine-tuning", ("way", "examples/s", "× plain", "loss at the end"), rows), claims)
    if out is not None:
        write_result(out, "finetune", claims, details)


class Trainer:
    """An encoder that learns in one of the ways, and how long each step took."""

    def __init__(self, encoder: TextEncoder, encode: Encode) -> None:
        self._encode = encode
        self._optimiser = torch.optim.AdamW(encoder.trained_parameters(), lr=1e-4)
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []
        self.losses: list[float] = []

    def step(self, batch: list[Positions]) -> None:
        """One step; each example is the next item and, behind it, the history, the latest first."""
        started, cpu_started = time.perf_counter(), time.process_time()
        vectors = torch.split(self._encode(np.concatenate(batch)), [len(items) for items in batch])
        candidates = torch.stack([found[0] for found in vectors])
        interest = torch.stack([torch.logsumexp(TEMPERATURE * found[1:] @ candidates.T, dim=0) for found in vectors])
        loss = nn.functional.cross_entropy(interest, torch.arange(len(batch)))
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self.losses.append(loss.item())
        self.seconds.append(time.perf_counter() - started)
        self.cpu_seconds.append(time.process_time() - cpu_started)


def plain_way(encoder: TextEncoder, texts: list[str]) -> Encode:
    """Every text through the whole encoder, as often as it occurs."""
    tokens = encoder.tokens(texts)

    def encode(items: Positions) -> Tensor:
        found = [tokens[item] for item in items]
        mask = pad_sequence([torch.ones_like(ids) for ids in found], batch_first=True)
        vectors: Tensor = encoder(pad_sequence(found, batch_first=True), mask)
        return vectors

    return encode


def _only(texts: list[str], wanted: Positions) -> list[str]:
    """The texts with all but the wanted ones blank."""
    kept = set(wanted.tolist())
    return [text if at in kept else "" for at, text in enumerate(texts)]


if __name__ == "__main__":
    main()
