import subprocess
import sys

import numpy as np

from benchmarks.peak_memory import peak_memory_mb
from tests.benchmarks.quick import ROOT


def test_a_process_is_not_charged_for_what_the_one_that_started_it_held():
    held = np.ones(50_000_000)
    assert peak_memory_mb() > held.nbytes / 1024**2
    code = "from benchmarks.peak_memory import peak_memory_mb; print(peak_memory_mb())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert 1 < float(child.stdout) < 200
