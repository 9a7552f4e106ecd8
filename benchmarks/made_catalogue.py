"""A catalogue of a million items whose vectors are spread as those of real texts.

The titles of Online Retail come first. Then made titles, the beginning of one title and the end of another ("SNACK TRAY
RED" + "LOVE BIRD CANDLE"), encoded as any text. All further vectors are made of four like ones, an encoded item x and
three of its 32 nearest: (x + a + b − c) / 2, at unit length.

What was checked, in the packaged MiniLM, each on 6,000 items, or on the 3,900 titles:

                                            real titles   encoded   made of four
    mean cosine of two items                0.194         0.198     0.200
    median cosine to the nearest            0.81          0.71      0.74
    median cosine to the 10th               0.58          0.57      0.58
    median cosine to the 100th              0.41          0.43      0.43
    intrinsic dimension (Levina, Bickel)    9             14.7      13.1

So they spread alike; real titles have more near twins, which is easier for an index, not harder.

Reads   examples/online_retail
Writes  FOLDER/encoder/, FOLDER/*.npy: what is there is not computed again
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
from recsys.state import Positions
from training.encoder import TextEncoder
from training.export import export_encoder
from training.pretrained import encoder_folder

BLOCK: Final = 25_000
"""Texts a file: what a run that is stopped loses."""

LIKE: Final = 32
ROWS_AT_ONCE: Final = 1000


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


def encoded(texts: Sequence[str], folder: Path) -> Vectors:
    """The unit vector of each text: float32 (n, 384), encoded once, in int8 and kept as float16."""
    encoder = _encoder(folder / "encoder", texts)
    vectors = np.empty((len(texts), encoder.dimension), dtype=np.float32)
    with progress("encoding the catalogue", len(texts)) as advance:
        for start in range(0, len(texts), BLOCK):
            block = texts[start : start + BLOCK]
            path = folder / f"{_key(encoder.fingerprint, *block)}.npy"
            if not path.exists():
                _save(path, encoder.encode(block).astype(np.float16))
            vectors[start : start + BLOCK] = np.load(path)
            advance(len(block))
    return _unit(vectors)


def enlarged(vectors: Vectors, count: int, folder: Path, *, seed: int = 0) -> Vectors:
    """These unit vectors and, behind them, made ones: float32 (count, d)."""
    path = folder / f"like_{_key(sha256(vectors.tobytes()).hexdigest())}.npy"
    if not path.exists():
        _save(path, like(vectors))
    near: Positions = np.load(path)
    random = np.random.default_rng(seed)
    found = np.empty((count, vectors.shape[1]), dtype=np.float32)
    found[: len(vectors)] = vectors[:count]
    for start in range(len(vectors), count, BLOCK):
        part = found[start : start + BLOCK]
        first = random.integers(len(vectors), size=len(part))
        a, b, c = (near[first, random.integers(near.shape[1], size=len(part))] for _ in range(3))
        part[:] = _unit((vectors[first] + vectors[a] + vectors[b] - vectors[c]) / 2)
    return found


def like(vectors: Vectors) -> Positions:
    """The LIKE nearest of each, in no order: int32 (n, LIKE)."""
    count = min(LIKE, len(vectors) - 1)
    found = np.empty((len(vectors), count), dtype=np.int32)
    with progress("nearest of each", len(vectors)) as advance:
        for start in range(0, len(vectors), ROWS_AT_ONCE):
            cosine = vectors[start : start + ROWS_AT_ONCE] @ vectors.T
            cosine[np.arange(len(cosine)), start + np.arange(len(cosine))] = -np.inf
            found[start : start + ROWS_AT_ONCE] = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
            advance(len(cosine))
    return found


def _encoder(folder: Path, texts: Sequence[str]) -> ItemEncoder:
    """The packaged MiniLM, exported once."""
    model, tokenizer = folder / SMALLER_ENCODER_FILES["int8"], folder / TOKENIZER_FILE
    if not model.exists():
        folder.mkdir(parents=True, exist_ok=True)
        encoder = TextEncoder(encoder_folder(None, folder), Text(), Finetune())
        export_encoder(encoder, folder, texts=texts[:BLOCK], ndcg=lambda vectors: 1.0)
    return ItemEncoder(model, tokenizer, max_tokens=Text().max_tokens, threads=os.cpu_count() or 1)


def _save(path: Path, array: np.ndarray) -> None:
    unfinished = path.with_suffix(".part.npy")
    np.save(unfinished, array)
    unfinished.replace(path)


def _key(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def _unit(vectors: Vectors) -> Vectors:
    found: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found
