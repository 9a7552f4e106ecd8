"""The most memory that a process has held, also where another process has started it.

Linux counts into `ru_maxrss` what the process held that it was forked from, which may be much more.
"""

import resource
import sys
from pathlib import Path


def peak_memory_mb() -> float:
    """Of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1024**2 if sys.platform == "darwin" else most / 1024  # bytes on macOS, else KiB
