"""A LightGBM model, through the C library alone.

The Python package brings scikit-learn, pandas and Arrow along where they are installed: seconds of the start of a
server, and a hundred megabytes of each of its processes.

https://lightgbm.readthedocs.io/en/stable/C-API.html
"""

import ctypes
import sys
import weakref
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recsys.errors import BundleError
from recsys.state import Floats

FLOAT32: Final = 0
ROW_MAJOR: Final = 1
SCORES: Final = 0
CONTRIBUTIONS: Final = 3
ALL_TREES: Final = -1
"""What the C library calls these."""

ENDING: Final = {"win32": "dll", "darwin": "dylib"}
"""Of a library, where it is not .so."""


class LightGbmModel:
    """One read from a file. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Raises BundleError when the file is no model."""
        self._handle = ctypes.c_void_p()
        trees = ctypes.c_int()
        created = _library().LGBM_BoosterCreateFromModelfile(
            str(path).encode(), ctypes.byref(trees), ctypes.byref(self._handle)
        )
        if created != 0:
            raise BundleError(f"{path}: LightGBM cannot read it: {_last_error()}; train again")
        weakref.finalize(self, _library().LGBM_BoosterFree, self._handle)

    def predict(self, data: NDArray[np.float32], **options: Any) -> Floats:
        """float64 (n,) of a matrix (n, n_features), or with pred_contrib float64 (n, n_features + 1).

        num_threads  1 if absent

        Raises ValueError for a matrix of another width than the model has.
        """
        pred_contrib, num_threads = options.get("pred_contrib", False), options.get("num_threads", 1)
        rows = np.ascontiguousarray(data, dtype=np.float32)
        found: Floats = np.empty((len(rows), rows.shape[1] + 1) if pred_contrib else len(rows), dtype=np.float64)
        length = ctypes.c_int64()
        done = _library().LGBM_BoosterPredictForMat(
            self._handle,
            ctypes.c_void_p(rows.ctypes.data),
            ctypes.c_int(FLOAT32),
            ctypes.c_int32(len(rows)),
            ctypes.c_int32(rows.shape[1]),
            ctypes.c_int(ROW_MAJOR),
            ctypes.c_int(CONTRIBUTIONS if pred_contrib else SCORES),
            ctypes.c_int(0),
            ctypes.c_int(ALL_TREES),
            f"num_threads={num_threads} verbosity=-1".encode(),
            ctypes.byref(length),
            ctypes.c_void_p(found.ctypes.data),
        )
        if done != 0:
            raise ValueError(f"LightGBM cannot score a matrix of the shape {rows.shape}: {_last_error()}")
        assert length.value == found.size
        return found


@cache
def _library() -> Any:
    """That of the package lightgbm, which is found and not imported."""
    spec = find_spec("lightgbm")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    (folder,) = spec.submodule_search_locations
    name = f"lib_lightgbm.{ENDING.get(sys.platform, 'so')}"
    (path,) = [path for path in (Path(folder) / "lib" / name, Path(folder) / "bin" / name) if path.is_file()]
    library = ctypes.cdll.LoadLibrary(str(path))
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library


def _last_error() -> str:
    return str(_library().LGBM_GetLastError().decode())
