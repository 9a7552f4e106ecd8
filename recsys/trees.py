"""The trees of a ranker on ONNX Runtime, which walks them in half the time that LightGBM takes.

Reads ranker.onnx of a bundle, which training.export_ranker writes: float32 (n, n_features) → float64 (n, 1).
"""

from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from recsys.interest import CPU
from recsys.onnx_options import session_options
from recsys.state import Floats

FEATURES: Final = "features"
SCORES: Final = "scores"
"""The input and the output of ranker.onnx."""


class OnnxTrees:
    """The scores of a LightGBM model, to the last bits: the same thresholds, leaves and sums, all in float64."""

    def __init__(self, path: Path) -> None:
        # More threads cost more than they bring on a few hundred rows, and a GPU has nothing to walk trees with.
        self._session = onnxruntime.InferenceSession(path, session_options(threads=1), providers=[CPU])

    def predict(self, data: NDArray[np.float32]) -> Floats:
        """float64 (n,) of a matrix (n, n_features)."""
        found: Floats = self._session.run([SCORES], {FEATURES: data})[0][:, 0]
        return found
