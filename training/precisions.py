"""The item encoder in float16 and int8, each kept only if it ranks as well as in float32.

Reads   item_encoder.onnx, tokenizer.json
Writes  item_encoder.fp16.onnx, item_encoder.int8.onnx
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recsys.bundle_files import ENCODER_FILE, SMALLER_ENCODER_FILES, TOKENIZER_FILE
from recsys.encoder import ItemEncoder
from recsys.interest import Vectors

MAX_NDCG_LOSS = 0.01
"""Relative, of ndcg@10 on validation."""

Ndcg = Callable[[Vectors], float]


def write_checked(
    folder: Path, writers: Mapping[str, Callable[[Path], None]], *, max_tokens: int, texts: Sequence[str], ndcg: Ndcg
) -> dict[str, dict[str, Any]]:
    """Write the file of each precision into a folder that holds the encoder in float32; remove one that ranks worse.

    writers  precision → what writes its file
    ndcg     ndcg@10 of vectors of the texts, float32 (len(texts), d)

    Returns for each precision {"kept", "ndcg_change", "bytes"}, the change relative, and a "reason" if it is not kept.
    """

    def measured(file: str) -> float:
        vectors = ItemEncoder(folder / file, folder / TOKENIZER_FILE, max_tokens=max_tokens).encode(texts)
        return ndcg(_finite(vectors))

    exact = measured(ENCODER_FILE)
    if not exact > 0:
        return not_checked(f"ndcg@10 on validation is {exact:.3g} in float32: there is nothing to compare with")
    figures = {}
    for precision, file in SMALLER_ENCODER_FILES.items():
        figures[precision] = found = _checked(folder / file, writers[precision], measured, exact)
        if not found["kept"]:
            (folder / file).unlink(missing_ok=True)
    return figures


def not_checked(reason: str) -> dict[str, dict[str, Any]]:
    """The figures where no smaller file could be checked, and so none was written."""
    return {precision: {"kept": False, "reason": reason} for precision in SMALLER_ENCODER_FILES}


def _checked(
    path: Path, write: Callable[[Path], None], measured: Callable[[str], float], exact: float
) -> dict[str, Any]:
    figures: dict[str, Any] = {"kept": False}
    try:
        write(path)
        figures["bytes"] = path.stat().st_size
        change = measured(path.name) / exact - 1
    except Exception as error:  # The libraries raise a class of their own for each operator that they cannot do.
        return figures | {"reason": f"{type(error).__name__}: {error}"}
    figures |= {"ndcg_change": change, "kept": change >= -MAX_NDCG_LOSS}
    if not figures["kept"]:
        figures["reason"] = f"ndcg@10 changes by {change:+.1%}, expected at least {-MAX_NDCG_LOSS:.0%}"
    return figures


def _finite(vectors: Vectors) -> Vectors:
    """The vectors. Raises ValueError when float16 was too narrow for what lies between."""
    broken = int((~np.isfinite(vectors).all(axis=1)).sum())
    if broken:
        raise ValueError(f"{broken} of {len(vectors)} vectors are no numbers")
    return vectors
