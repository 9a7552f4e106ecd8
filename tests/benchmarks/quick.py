"""Runs a benchmark as its users do."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 600


def quick(name: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """The result of `python -m benchmarks.NAME --quick`, with warnings as errors on one thread."""
    out = folder / f"{name}.json"
    command = [sys.executable, "-W", "error", "-m", f"benchmarks.{name}", "--quick", "--json", str(out), *arguments]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    result: dict[str, Any] = json.loads(out.read_text())
    assert result["bench"] == name
    assert result["machine"]["cores"] >= 1
    assert result["claims"] == {}, "a quick run measures nothing that could be claimed"
    return result["details"]
