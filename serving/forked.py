"""A worker of serving.supervisor: a fork of its process, which ends with it.

A fork shares the memory of what was imported before. It has none of the threads of its parent, so that nothing may have
run there that goes on in threads of its own: modules are imported, and no table is read and no model opened.
"""

import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import NoReturn

from recsys.cli import reported

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Worker:
    """A process that does some work and then ends; `lines` are what it prints."""

    def __init__(self, work: Callable[[], None], others: Collection["Worker"] = ()) -> None:
        """`others`: the workers that there are, of which it holds nothing. Call it in the main thread."""
        lifeline, own_lifeline = os.pipe()
        printed, own_printed = os.pipe()
        # What is waiting to be written would be written twice.
        sys.stdout.flush()
        sys.stderr.flush()
        # A signal that comes before the worker is one must not be taken by what this process does at signals.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            with warnings.catch_warnings():
                # From 3.12 on for any thread, such as those of libraries that know of forks.
                warnings.simplefilter("ignore", DeprecationWarning)
                self.pid = os.fork()
            if self.pid == 0:
                # A pipe ends only when nobody has its other end: of this one and of those of the others.
                for descriptor in (own_lifeline, printed, *(end for other in others for end in other._ends())):
                    os.close(descriptor)
                os.dup2(own_printed, 1)
                os.close(own_printed)
                _begin(work, lifeline, before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(lifeline)
        os.close(own_printed)
        self._lifeline, self._printed = own_lifeline, printed
        self.lines = open(printed, encoding="utf-8", errors="replace")  # noqa: SIM115  # closed when it has ended
        self._lock, self._ended = threading.Lock(), threading.Event()

    def reap(self) -> int:
        """Wait until it has ended, once and after the last of its lines; returns its exit code, below 0 of a signal."""
        # Nobody may be sent a signal under its number from here on.
        with self._lock:
            _, status = os.waitpid(self.pid, 0)
            self._ended.set()
        os.close(self._lifeline)
        self.lines.close()
        return os.waitstatus_to_exitcode(status)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for another thread to reap it; whether it has ended."""
        return self._ended.wait(timeout_s)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        with self._lock:
            if not self._ended.is_set():
                os.kill(self.pid, number)

    def _ends(self) -> tuple[int, ...]:
        """Of its pipes, in this process."""
        return () if self._ended.is_set() else (self._lifeline, self._printed)


def _begin(work: Callable[[], None], lifeline: int, mask: Collection[int]) -> NoReturn:
    """Be the worker; never returns to what its parent was about to do."""
    code = 1
    try:
        # Ctrl-C is for the parent alone, which then drains its workers.
        os.setpgid(0, 0)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        threading.Thread(target=_end_with_parent, args=[lifeline], name="parent", daemon=True).start()
        reported(work)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _end_with_parent(lifeline: int) -> None:
    # Nothing is ever written: it ends when the only process that could is gone, however that came.
    while os.read(lifeline, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
