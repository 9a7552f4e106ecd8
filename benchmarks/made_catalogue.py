"""A catalogue of a million items with the vectors of real texts: the titles of Online Retail, and titles made of two.

A made title is the beginning of one title and the end of another ("SNACK TRAY RED" + "LOVE BIRD CANDLE"), and is encoded
as any text. Of 3,900 made ones against the 3,900 real ones, both in the packaged MiniLM: mean cosine of two items 0.197
and 0.194, dimensions that hold nine tenths of the variance 145 and 139, median cosine to the 100th nearest item 0.40 and
0.41, to the 10th 0.54 and 0.58, to the nearest 0.68 and 0.81; intrinsic dimension (Levina and Bickel, 20 neighbours) 16
and 9. So they spread alike, but have fewer near twins, which is harder for an index, not easier.

Reads   examples/online_retail
Writes  FOLDER/encoder/, FOLDER/BLOCK.npy: float16 (rows, 384); blocks that are there are not encoded again
"""

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np

from recsys.bundle_files import SMALLER_ENCODER_FILES, TOKENIZER_FILE
from recsys.config import Finetune, Text
from recsys.encoder import ItemEncoder
from recsys.interest import Vectors
from recsys.progress import progress
from training.encoder import TextEncoder
from training.export import export_encoder
from training.pretrained import encoder_folder

BLOCK: Final = 25_000
"""Texts a file: what a run that is stopped loses."""


def made_titles(titles: Sequence[str], count: int, *, seed: int = 0) -> list[str]:
    """`count` distinct titles: the given ones, then made ones."""
    random = np.random.default_rng(seed)
    words = [title.split() for title in dict.fromkeys(titles) if len(title.split()) > 1]
    found = dict.fromkeys(titles)
    while len(found) < count:
        first, second = (words[at] for at in random.integers(len(words), size=2))
        beginning = first[: random.integers(1, len(first))]
        found[" ".join([*beginning, *second[random.integers(1, len(second)) :]])] = None
    return list(found)[:count]


def vectors_of(texts: Sequence[str], folder: Path) -> Vectors:
    """The unit vector of each text: float32 (n, 384); encoded once, in int8."""
    encoder = _encoder(folder / "encoder")
    blocks = []
    with progress("encoding the catalogue", len(texts)) as advance:
        for start in range(0, len(texts), BLOCK):
            block = texts[start : start + BLOCK]
            key = sha256("\n".join([encoder.fingerprint, *block]).encode()).hexdigest()
            path = folder / f"{key[:16]}.npy"
            if not path.exists():
                unfinished = path.with_suffix(".part.npy")
                np.save(unfinished, encoder.encode(block).astype(np.float16))
                unfinished.replace(path)
            blocks.append(path)
            advance(len(block))
    vectors = np.empty((len(texts), encoder.dimension), dtype=np.float32)
    for start, path in zip(range(0, len(texts), BLOCK), blocks, strict=True):
        vectors[start : start + BLOCK] = np.load(path)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _encoder(folder: Path) -> ItemEncoder:
    """The packaged MiniLM, exported once."""
    model, tokenizer = folder / SMALLER_ENCODER_FILES["int8"], folder / TOKENIZER_FILE
    if not model.exists():
        folder.mkdir(parents=True, exist_ok=True)
        encoder = TextEncoder(encoder_folder(None, folder), Text(), Finetune())
        export_encoder(encoder, folder, texts=["TEA", "RED TEA CUP"], ndcg=lambda vectors: 1.0)
    return ItemEncoder(model, tokenizer, max_tokens=Text().max_tokens, threads=os.cpu_count() or 1)
