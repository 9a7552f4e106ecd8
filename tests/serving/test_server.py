"""`recsys serve` as a process: it starts without a training framework, says where it listens, and drains at SIGTERM."""

import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.events import EventLog
from serving.listening import AddressError
from serving.reload import Reloader
from serving.server import run
from serving.service import Service
from tests.serving.fake_engine import CONFIG, FakeEngine

# The command line as it is, but for a fake engine and without what only training needs.
SCRIPT = """
import sys, time, types
from pathlib import Path

sys.modules["torch"] = sys.modules["transformers"] = None

from recsys.cli import main
from recsys.errors import BundleError
from tests.serving.fake_engine import FakeEngine

how = sys.argv.pop(1)

class SlowEngine(FakeEngine):
    def rank(self, *args, **options):
        Path(sys.argv[sys.argv.index("--config") + 1]).with_name("asked").touch()
        time.sleep(0.5)
        return super().rank(*args, **options)

def load_engine(workspace):
    if how == "broken":
        raise BundleError(f"{workspace.bundles}/champion: no bundle was promoted yet")
    if how == "waiting":
        sys.stdin.readline()
    return SlowEngine() if how == "slow" else FakeEngine()

sys.modules["serving.engine"] = types.ModuleType("serving.engine")
sys.modules["serving.engine"].load_engine = sys.modules["serving.engine"].load_before = load_engine
sys.modules["serving.engine"].newest = lambda workspace: None
sys.modules["serving.engine"].filling = lambda workspace: None
main()
"""
TOML = """
name = "fake"
[source]
interactions = "interactions.csv"
[interaction_types]
click = { label = true }
"""
RANK = {"user_id": "u", "candidates": ["b", "a"]}


@contextmanager
def serving(folder: Path, how: str, *, port: int = 0) -> "Iterator[subprocess.Popen[str]]":
    """The server as a process; killed at the end if it still runs."""
    config = folder / "recsys.toml"
    config.write_text(TOML)
    command = [sys.executable, "-W", "error", "-c", SCRIPT, how, "serve", "--config", str(config), "--port", str(port)]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, cwd=Path(__file__).parents[2], **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def address_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.match(r"recsys serves fake-1 on (http://127\.0\.0\.1:[1-9]\d*),", line)
    assert found, line
    return found[1]


def assert_stops(process: "subprocess.Popen[str]") -> None:
    """SIGTERM ends the server, which has nothing more to say."""
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0


def test_the_server_starts_without_torch_answers_keeps_events_and_stops(tmp_path):
    with serving(tmp_path, "ready") as process:
        address = address_of(process)
        with httpx.Client(base_url=address) as client:
            ranked = client.post("/v1/rank", json=RANK).json()
            assert [item["item_id"] for item in ranked["items"]] == ["a", "b"]
            click = {"user_id": "u", "item_id": "a", "event_type": "click", "request_id": ranked["request_id"]}
            assert client.post("/v1/events", json=click).json()["results"][0]["status"] == "stored"
            assert client.get("/readyz").json() == {"status": "ready", "bundle": "fake-1"}
        assert_stops(process)
    with closing(sqlite3.connect(tmp_path / "events.db")) as log:
        query = "SELECT item_id, items FROM interactions JOIN impressions USING (request_id)"
        assert log.execute(query).fetchall() == [("a", '["a","b"]')]


def test_the_server_is_alive_while_the_engine_loads_and_then_ready(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        serving(tmp_path, "waiting", port=port) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        deadline = time.monotonic() + 20
        while True:
            try:
                assert client.get("/livez").status_code == 200
                break
            except httpx.ConnectError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert client.get("/readyz").status_code == 503
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        assert address_of(process) == f"http://127.0.0.1:{port}"
        assert client.get("/readyz").status_code == 200
        client.close()
        assert_stops(process)


def test_a_request_that_is_under_way_at_sigterm_gets_its_answer(tmp_path):
    with serving(tmp_path, "slow") as process:
        address = address_of(process)
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(httpx.post(f"{address}/v1/rank", json=RANK)))
        thread.start()
        latest = time.monotonic() + 20
        while not (tmp_path / "asked").exists():
            assert time.monotonic() < latest
            time.sleep(0.01)
        assert_stops(process)
        thread.join(10)
    assert [answer.status_code for answer in answers] == [200]


def test_an_engine_that_cannot_be_loaded_ends_the_server_with_its_message(tmp_path):
    with serving(tmp_path, "broken") as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (2, "")
    assert err == f"error: {tmp_path}/bundles/champion: no bundle was promoted yet\n"


def test_an_address_in_use_is_named(tmp_path):
    with EventLog.open(tmp_path / "events.db") as log, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressError, match=f"127.0.0.1:{port}: Address already in use.*choose another address"):
            run([Reloader(Service(log, CONFIG), FakeEngine, lambda: None)], host="127.0.0.1", port=port)
