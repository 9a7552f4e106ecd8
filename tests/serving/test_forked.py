"""Workers as processes of their own; how they end with their parent is in test_supervisor."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from recsys.errors import RecsysError
from serving.forked import Worker

KNOWN_THREADS = {"python", "pytest", "jemalloc_bg_thd", "polars-ooc-clea"}
"""The main one, those of BLAS, which end before a fork and begin anew behind it, and two of Polars that only sleep."""


def said(work: Callable[[], object]) -> tuple[list[str], int]:
    """What a worker prints, and its exit code."""
    worker = Worker(work)
    lines = [line.rstrip() for line in worker.lines]
    code = worker.reap()
    assert worker.wait(0)
    return lines, code


def fail() -> None:
    raise RecsysError("no bundle")


def test_a_worker_prints_to_its_parent_and_ends_with_its_code(capfd):
    assert said(lambda: os.write(1, b"ready\n")) == (["ready"], 0)
    assert said(lambda: sys.exit(3)) == ([], 3)
    assert said(fail) == ([], 2)
    assert said(lambda: 1 / 0) == ([], 1)
    out, err = capfd.readouterr()
    assert out == ""
    assert "error: no bundle" in err
    assert "ZeroDivisionError" in err


def test_a_signal_ends_a_worker_at_once_and_one_that_has_ended_gets_none():
    worker = Worker(lambda: time.sleep(60))
    worker.send(signal.SIGTERM)
    assert list(worker.lines) == []
    assert worker.reap() == -signal.SIGTERM
    worker.send(signal.SIGKILL)
    assert worker.wait(0)


def test_a_worker_is_told_of_the_end_of_its_parent_though_others_were_started_later():
    first = Worker(lambda: time.sleep(60))
    second = Worker(lambda: time.sleep(60), [first])
    # As if this process had ended: nobody holds the other end of the first one's pipe any more.
    os.close(first._lifeline)
    first._lifeline = os.open(os.devnull, os.O_RDONLY)
    assert list(first.lines) == []
    assert first.reap() == -signal.SIGTERM
    second.send(signal.SIGKILL)
    assert list(second.lines) == []
    assert second.reap() == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="looks for threads in /proc")
def test_importing_what_serves_begins_no_threads_that_a_fork_would_lack():
    code = (
        "import os, threading, serving.process; assert threading.active_count() == 1; "
        "print(*{open(f'/proc/self/task/{task}/comm').read().strip() for task in os.listdir('/proc/self/task')})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name for name in done.stdout.split() if not name.startswith("python")} <= KNOWN_THREADS
