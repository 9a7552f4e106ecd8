"""Interest of a user in items, by text: the late interaction of the history's item vectors with the candidates'.

Reads scorer.onnx and the item vectors of a bundle; runs on ONNX Runtime, without a training framework.
"""

import ctypes
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from recsys.state import Mask, Positions

Vectors = NDArray[np.float32]

SIGNALS: Final = ("text_interest", "text_nearest", "text_last_occasion")
"""What the scorer says of a user and an item, each in [0, 1]: the soft maximum of the cosine over the history, its hard
maximum, and the soft maximum over the latest occasion alone."""

CUDA: Final = "CUDAExecutionProvider"
CPU: Final = "CPUExecutionProvider"

ONNX_ERRORS_ONLY: Final = 3

SLOWER_ON_CPU: Final = ("SkipLayerNormFusion",)
"""Optimisers of ONNX Runtime: layer norm fused with the addition before it takes many times as long as the two alone,
and an encoder in int8 a quarter longer with it."""


def onnx_session(path: Path, *, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session on the GPU when ONNX Runtime can use one, else on the CPU, without noise in the log."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = ONNX_ERRORS_ONLY
    providers = execution_providers()
    disabled = SLOWER_ON_CPU if providers == [CPU] else ()
    return onnxruntime.InferenceSession(path, options, providers=providers, disabled_optimizers=list(disabled))


def execution_providers() -> list[str]:
    """CUDA when the build has it and a device is there; asking for it without one writes errors to the log."""
    return [CUDA, CPU] if CUDA in onnxruntime.get_available_providers() and has_nvidia_gpu() else [CPU]


def has_nvidia_gpu() -> bool:
    """Ask the driver, for ONNX Runtime lists what it was compiled with, not what works."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    found = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    if found:
        onnxruntime.preload_dlls()  # the CUDA and cuDNN wheels of recsys[gpu]
    return found


class InterestScorer:
    """Scores one user's history against items of the catalogue."""

    def __init__(self, scorer: Path, vectors: Vectors, *, history_items: int, threads: int = 1) -> None:
        """`vectors` is float32 (n_items, d), unit length, in the order of the catalogue; it may be memory-mapped."""
        self.vectors = vectors
        self.history_items = history_items
        self._session = onnx_session(scorer, threads=threads)

    def score(self, history: Positions, in_last_occasion: Mask, candidates: Positions | None = None) -> Vectors:
        """One user's interest in each candidate: float32 (n_candidates, len(SIGNALS)), each in [0, 1].

        history           positions, the latest first; only the first history_items count
        in_last_occasion  bool, beside it
        candidates        positions; None: the whole catalogue

        A user without a history gets zeros.
        """
        history = history[: self.history_items]
        wanted = self.vectors if candidates is None else self.vectors[candidates]
        if len(history) == 0:
            return np.zeros((len(wanted), len(SIGNALS)), dtype=np.float32)
        (signals,) = self._session.run(
            None,
            {
                "history": self.vectors[history],
                "last": in_last_occasion[: self.history_items].astype(np.float32),
                "candidates": wanted,
            },
        )
        return np.asarray(signals, dtype=np.float32)
