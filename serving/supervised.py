"""A worker as it sees the process that started it (serving.supervisor)."""

import os
import signal
import socket
import sys
import threading


def worker_socket(descriptor: int) -> socket.socket:
    """The socket that this process shares with the other workers; it drains and ends when its parent is gone."""
    threading.Thread(target=_end_with_parent, args=[sys.stdin.fileno()], name="parent", daemon=True).start()
    return socket.socket(fileno=descriptor)


def _end_with_parent(lifeline: int) -> None:
    # Nothing is ever written: it ends when the only process that could is gone, however that came.
    while os.read(lifeline, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
