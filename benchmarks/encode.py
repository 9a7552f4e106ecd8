"""How fast are texts encoded: ours on ONNX Runtime against sentence-transformers on torch, same texts, same threads.

Reads   examples/online_retail, descriptions of the installed packages
Writes  OUT

    python -m benchmarks.encode --json encode.json
"""

import os
from collections.abc import Callable
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import polars as pl
import torch
from sentence_transformers import SentenceTransformer

from benchmarks.harness import RUNS, Table, claim, interleaved, print_table, write_result
from benchmarks.online_retail import ColdItems, OnlineRetail
from recsys.bundle_files import ENCODER_FILE, SMALLER_ENCODER_FILES, TOKENIZER_FILE
from recsys.config import Finetune, Text
from recsys.encoder import ItemEncoder
from training.demo import DATA
from training.encoder import TextEncoder
from training.export import export_encoder
from training.pretrained import encoder_folder

PEER = "sentence-transformers"
PEER_BATCHES = (32, 128)
"""Texts at a time: what it takes by itself, and what is faster for short ones. The faster one is the peer."""

LONG_TOKENS = 128
LONG_TEXTS = 100
TITLES = 1000
"""So many of the catalogue are timed, spread evenly; all of them are ranked."""

LONG_CHARACTERS = 300
QUICK_TEXTS = 24

WEIGHTS_A_TOKEN = 6 * (4 * 384 * 384 + 2 * 384 * 1536)
"""Of the matrix products of MiniLM: each is multiplied and added once a token. Attention adds a little."""


@click.command()
@click.option("--quick", is_flag=True, help="A few texts, no claims: for the tests")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Where the result is written")
@click.option("--threads", default=os.cpu_count() or 1, show_default=True, help="Of ours, the peer and the floor")
def main(quick: bool, out: Path | None, threads: int) -> None:
    """Measure, print a table, write the result."""
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    torch.set_num_threads(threads)
    with TemporaryDirectory() as name:
        folder = Path(name)
        encoder = TextEncoder(encoder_folder(None, folder), Text(), Finetune())
        if quick:
            titles = pl.read_parquet(DATA, columns=["Description"])["Description"].unique().sort().drop_nulls()
            sets = {"titles": (titles.to_list()[:QUICK_TEXTS], Text().max_tokens)}
            figures = export_encoder(encoder, folder, texts=sets["titles"][0], ndcg=lambda vectors: 1.0)
        else:
            data = OnlineRetail.imported(folder)
            figures = export_encoder(encoder, folder, texts=data.texts, ndcg=ColdItems(data).ndcg)
            sample = data.texts[:: max(1, len(data.texts) // TITLES)]
            sets = {"titles": (sample, Text().max_tokens), "paragraphs": (paragraphs(), LONG_TOKENS)}
        measured = {
            name: measure(folder, encoder.folder, texts, max_tokens, threads=threads, runs=1 if quick else RUNS)
            for name, (texts, max_tokens) in sets.items()
        }
    claims = {}
    if not quick:
        titles_ratio = measured["titles"]["times_peer"]
        claims["fp32_vs_sentence_transformers"] = claim(titles_ratio["fp32"], 1.3, "×")
        if "int8" in titles_ratio:
            claims["int8_vs_sentence_transformers"] = claim(titles_ratio["int8"], 2.5, "×")
        if "ndcg_change" in figures["int8"]:
            claims["int8_ndcg_loss"] = claim(-figures["int8"]["ndcg_change"], 0.01, "of ndcg@10")
    rows = [
        (f"{found['texts']} {name} of {found['tokens_a_text']:.0f} tokens", contestant, rate, ratio)
        for name, found in measured.items()
        for (contestant, rate), ratio in zip(found["texts_a_second"].items(), found["times_peer"].values(), strict=True)
    ]
    print_table(Table("Encoding texts", ("texts", "with", "texts/s", f"× {PEER}"), rows), claims)
    if out is not None:
        write_result(out, "encode", claims, {"threads": threads, "export": figures, **measured})


def measure(
    folder: Path, pretrained: Path, texts: list[str], max_tokens: int, *, threads: int, runs: int
) -> dict[str, Any]:
    """Texts a second of every contestant, and the ratio to the peer at its faster batch size."""
    peer = sentence_transformer(pretrained, max_tokens)
    contestants: dict[str, Callable[[], np.ndarray]] = {
        f"{PEER}, batches of {size}": partial(peer.encode, texts, batch_size=size, show_progress_bar=False)
        for size in PEER_BATCHES
    }
    for precision, file in {"fp32": ENCODER_FILE, "int8": SMALLER_ENCODER_FILES["int8"]}.items():
        if (folder / file).exists():
            ours = ItemEncoder(folder / file, folder / TOKENIZER_FILE, max_tokens=max_tokens, threads=threads)
            contestants[precision] = partial(ours.encode, texts)
    # The peer says the same, or the comparison is worth nothing.
    difference = float(np.abs(contestants["fp32"]() - next(iter(contestants.values()))()).max())
    if not difference < 1e-4:
        raise click.ClickException(f"ours and {PEER} differ by {difference:.2g} on these texts, expected below 1e-4")
    tokens = sum(
        len(encoding) for encoding in peer.tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"]
    )
    left, right = torch.randn(1024, 384), torch.randn(384, 1536)
    seconds = interleaved({**contestants, "floor": lambda: left @ right}, runs=runs)
    floor_rate = 2 * left.numel() * right.shape[1] / seconds.pop("floor")
    peer_seconds = min(taken for name, taken in seconds.items() if name.startswith(PEER))
    return {
        "texts": len(texts),
        "tokens_a_text": tokens / len(texts),
        "texts_a_second": {name: len(texts) / taken for name, taken in seconds.items()},
        "times_peer": {name: peer_seconds / taken for name, taken in seconds.items()},
        "difference": difference,
        "gflops_of_a_matrix_product": floor_rate / 1e9,
        "share_of_floor": {name: 2 * tokens * WEIGHTS_A_TOKEN / floor_rate / taken for name, taken in seconds.items()},
    }


def sentence_transformer(pretrained: Path, max_tokens: int) -> SentenceTransformer:
    """The peer with the same weights, on the CPU; pooling and normalising as the packaged model says."""
    model = SentenceTransformer(str(pretrained), device="cpu", local_files_only=True)
    model.max_seq_length = max_tokens
    return model


def paragraphs() -> list[str]:
    """Real prose: the longer paragraphs in the descriptions of the installed packages."""
    found = set()
    for distribution in distributions():
        description = str(distribution.metadata["description"] or "")
        found |= {
            " ".join(part.split())
            for part in description.split("\n\n")
            if part[:1].isalpha() and len(part) >= LONG_CHARACTERS
        }
    return sorted(found)[:LONG_TEXTS]


if __name__ == "__main__":
    main()
