"""Checks of disk, port and threads."""

import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from serving.doctor import machine


@pytest.mark.parametrize(("free", "state"), [(100e6, "problem"), (1e9, "warning"), (9e9, "ok")])
def test_a_disk_that_is_almost_full(tmp_path, monkeypatch, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**12, 0, int(free)))
    assert machine.disk_has_room(tmp_path).state == state


def test_a_port_is_free_or_taken_by_another_program():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        # It takes the connection and never answers.
        found = machine.port_free("127.0.0.1", port)
        assert (found.state, "Address already in use" in found.found) == ("problem", True)
    assert machine.port_free("127.0.0.1", port).state == "ok"


def test_a_port_that_a_recsys_server_has_is_no_problem():
    class Alive(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status":"alive"}')

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Alive) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        found = machine.port_free("127.0.0.1", server.server_address[1])
    assert (found.state, "a recsys server answers" in found.found) == ("ok", True)


@pytest.mark.parametrize(
    ("limit", "asked", "state", "mend"),
    [
        ("max 100000", "", "ok", ""),
        ("200000 100000", "", "warning", "set OMP_NUM_THREADS=2"),
        ("50000 100000", "1", "ok", ""),
        ("200000 100000", "2", "ok", ""),
        (None, "9", "warning", "set OMP_NUM_THREADS=4"),
    ],
)
def test_more_threads_than_the_container_may_use_are_a_warning(tmp_path, monkeypatch, limit, asked, state, mend):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    if asked:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    file = tmp_path / "cpu.max"
    if limit is not None:
        file.write_text(f"{limit}\n")
    found = machine.threads_fit(file)
    assert (found.state, found.mend) == (state, mend)
