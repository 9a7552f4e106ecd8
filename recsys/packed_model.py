"""A model as ONNX Runtime has optimised it and packed its weights for this processor, in files that processes share.

Otherwise each process that opens it keeps packed weights of its own. They depend on the processor and on the version of
ONNX Runtime, which the name of the folder tells apart.

Writes  FOLDER/packed-KEY/model.onnx, weights.bin

https://github.com/microsoft/onnxruntime/blob/main/include/onnxruntime/core/session/onnxruntime_session_options_config_keys.h
describes the options.
"""

import logging
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final

import onnxruntime

from recsys.durable import exclusively, sync
from recsys.onnx_options import session_options

MODEL: Final = "model.onnx"
WEIGHTS: Final = "weights.bin"

KEPT: Final = 4
"""Packed models of a folder: of the champion, the one before it, and two of experiments."""

LONGEST_S: Final = 120.0
"""To pack one; it takes a second or two."""

AT_LEAST_BYTES: Final = 1 << 16
"""Weights that are larger are in the file beside the model, where they can be mapped."""

logger: Final = logging.getLogger(__name__)


def packed(model: Path, folder: Path, disabled_optimizers: Sequence[str] = ()) -> Path | None:
    """The file that is opened instead, without optimising again; it is made if it is not there yet.

    None where that cannot be, as on a full disk or for a file that is no model; the log says why.
    """
    try:
        found = folder / f"packed-{_key(model, disabled_optimizers)}"
        if not found.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with exclusively(folder / ".packed.lock"):
                if not found.exists():
                    _pack(model, found, disabled_optimizers)
        os.utime(found)
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("%s: it is not packed, so each process keeps weights of its own: %s", model, error)
        return None
    return found / MODEL


def discard(packed_model: Path, error: Exception) -> None:
    """Remove one that cannot be opened, so that the next who wants it makes it anew."""
    logger.warning("%s: the packed model cannot be opened and is removed: %s", packed_model, error)
    shutil.rmtree(packed_model.parent, ignore_errors=True)


def _pack(model: Path, found: Path, disabled_optimizers: Sequence[str]) -> None:
    partial = found.with_name(f".{found.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    # In a process of its own: packing takes several times the memory that is needed afterwards.
    command = [sys.executable, "-m", "recsys.packed_model", str(model), str(partial), *disabled_optimizers]
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )
    if done.returncode:
        raise OSError(done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}")
    for file in partial.iterdir():
        sync(file)
    partial.rename(found)
    sync(found.parent)
    for old in sorted(found.parent.glob("packed-*"), key=lambda one: one.stat().st_mtime)[:-KEPT]:
        # Whoever has mapped one keeps it.
        shutil.rmtree(old, ignore_errors=True)


def _key(model: Path, disabled_optimizers: Sequence[str]) -> str:
    with model.open("rb") as file:
        content = file_digest(file, "sha256").hexdigest()
    about = [content, onnxruntime.__version__, _processor(), *disabled_optimizers]
    return sha256("\n".join(about).encode()).hexdigest()[:16]


@cache
def _processor() -> str:
    """What tells processors apart that ONNX Runtime packs for in different ways."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    # On x86, and on ARM.
    flags = next((line.partition(":")[2] for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {platform.processor()} {flags}"


def main(model: str, folder: str, *disabled_optimizers: str) -> None:
    """Write the packed model into a folder that is there."""
    options = session_options(threads=1)
    options.optimized_model_filepath = str(Path(folder) / MODEL)
    entries = {
        "session.optimized_model_external_initializers_file_name": WEIGHTS,
        "session.optimized_model_external_initializers_min_size_in_bytes": str(AT_LEAST_BYTES),
        "session.save_external_prepacked_constant_initializers": "1",
    }
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(disabled_optimizers)
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
