"""`recsys serve --workers 2` as processes: both answer on one port, follow a promotion, and are kept alive."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from recsys.bundle import promote, publish
from serving.supervisor import PAUSES_S, Event, Supervisor
from tests.recsys.test_bundle import manifest, two_files
from tests.serving.test_server import RANK, TOML

# The command line as it is, but for an engine whose answers name the champion and the process that loaded it.
SCRIPT = """
import os, sys, time, types
sys.modules["torch"] = sys.modules["transformers"] = None

from recsys.bundle import champion, champion_state, open_bundle
from recsys.cli import main
from tests.serving.fake_engine import FakeEngine

def load_engine(workspace):
    # Long enough for requests to come meanwhile.
    time.sleep(0.5)
    engine = FakeEngine()
    bundle = open_bundle(champion(workspace.bundles)).manifest.bundle_id
    engine.bundle_id = f"{bundle} {os.getpid()}"
    return engine

sys.modules["serving.engine"] = types.ModuleType("serving.engine")
sys.modules["serving.engine"].load_engine = sys.modules["serving.engine"].load_before = load_engine
sys.modules["serving.engine"].filling = lambda workspace: ""
sys.modules["serving.engine"].newest = lambda workspace: champion_state(workspace.bundles)
main()
"""
WORKERS = 2


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "recsys.toml").write_text(
        f"{TOML}\n[serving]\nworkers = {WORKERS}\n[features]\nrefresh_seconds = 0.1\n"
    )
    for name in ("first", "second"):
        publish(tmp_path / "bundles", manifest(name), two_files)
    promote(tmp_path / "bundles", "first")
    return tmp_path


@contextmanager
def serving(project: Path) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-W", "error", "-c", SCRIPT, "serve"]
    options = ["--config", str(project / "recsys.toml"), "--port", "0"]
    pipes: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([*command, *options], text=True, cwd=Path(__file__).parents[2], **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def address_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.match(r"recsys serves first \d+ on (http://127\.0\.0\.1:\d+),.*; 2 workers\n", line)
    assert found, line + (process.stderr.read() if process.stderr else "")
    return found[1]


def answer(address: str) -> tuple[str, int]:
    """The bundle and the process that answered; each time over a connection of its own."""
    found = httpx.post(f"{address}/v1/rank", json=RANK, timeout=30)
    assert found.status_code == 200
    bundle, process = found.json()["bundle"].split()
    return bundle, int(process)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def workers(address: str) -> set[int]:
    """All of them, once as many as there should be have answered."""
    seen: set[int] = set()

    def all_answered() -> bool:
        try:
            seen.add(answer(address)[1])
        except httpx.TransportError:
            return False
        return len(seen) == WORKERS

    until(all_answered)
    return seen


def test_all_follow_promotions_and_no_request_is_lost(project):
    with serving(project) as process:
        address = address_of(process)
        bundles, stop, failures = project / "bundles", threading.Event(), []

        def ask() -> None:
            with httpx.Client(base_url=address, timeout=30) as client:
                while not stop.is_set():
                    try:
                        found = client.post("/v1/rank", json=RANK)
                        assert found.status_code == 200
                        assert found.json()["degraded"] == []
                    except Exception as error:  # counted, by the thread that can fail the test
                        failures.append(error)

        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        for name in ("second", "first") * 3:
            promote(bundles, name)
            followed: set[int] = set()

            def all_followed(name: str = name, followed: set[int] = followed) -> bool:
                bundle, worker = answer(address)
                if bundle == name:
                    followed.add(worker)
                return len(followed) == WORKERS

            until(all_followed)
        stop.set()
        for client in clients:
            client.join()
        assert failures == []
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0


def test_a_worker_that_dies_is_started_again_and_the_other_answers_meanwhile(project):
    with serving(project) as process:
        address = address_of(process)
        before = workers(address)
        killed = before.pop()
        os.kill(killed, signal.SIGKILL)
        (left,) = before
        # Its last connections break; those after are the other's.
        until(lambda: not is_running(killed))
        assert {answer(address)[1] for _ in range(5)} == {left}
        after = workers(address)
        assert left in after
        assert killed not in after
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "ended with exit code -9; it is started again in 1 s" in complaints


def test_workers_end_with_their_parent(project):
    with serving(project) as process:
        found = workers(address_of(process))
        process.kill()
        until(lambda: not any(is_running(worker) for worker in found))


def test_a_worker_that_does_not_come_up_ends_the_server_with_its_message(project):
    (project / "bundles" / "first" / "ranker.txt").write_text("tree!\n")
    with serving(project) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert "first/ranker.txt: sha256 is" in err
    assert re.search(r"error: worker \d of 2 ended with exit code 2 before it was ready; what it said is above\n", err)


def test_one_that_dies_young_again_and_again_waits_longer_each_time(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    supervisor = Supervisor(lambda listener: None, None, 1)  # type: ignore[arg-type]
    (place,) = supervisor._places
    pauses = []
    for lived in (0.0, 59.0, 0.0, 61.0, *[0.0] * 10):
        place.started_at = now[0] - lived
        supervisor._plan_restart(Event("ended", 0, code=1))
        assert place.start_at is not None
        pauses.append(place.start_at - now[0])
    assert pauses == [1.0, 2.0, 4.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0, 30.0]
    assert max(PAUSES_S) == 30.0


def is_running(pid: int) -> bool:
    """Also of one that nobody has waited for yet, which is over."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
