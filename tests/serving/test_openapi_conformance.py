"""Whatever the description of the API allows is answered as it says, and what it forbids is refused."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

import uvicorn

from serving.api import create_app
from serving.bundle_shelf import BundleShelf
from serving.events import EventLog
from serving.keys_file import KeysFile, LiveKeys
from serving.service import Service
from tests.serving.fake_engine import CONFIG, FakeEngine
from tests.serving.keyed import add_key
from tests.serving.shelves import made_project

EXAMPLES = 40

# What is as described may still ask for what the project cannot do: an event type that it does not have, a filter over
# unknown columns. The other statuses are those that schemathesis expects by itself.
SETTINGS = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "422", "429", "5xx"]
"""


@contextmanager
def served(app: object) -> Iterator[str]:
    """The address of an application on loopback."""
    with create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", log_config=None))  # type: ignore[arg-type]
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def test_every_route_does_as_its_description_says(tmp_path: Path, made_scorer: Path):
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    keys = KeysFile(tmp_path / "keys.json")
    key = add_key(keys, requests_per_second=1e6, burst=10**6)
    with EventLog.open(tmp_path / "events.db") as log:
        shelf = BundleShelf(made_project(tmp_path, made_scorer))
        # There is one to go back to.
        shelf.promote("other")
        app = create_app(Service(log, CONFIG, FakeEngine(), keys=LiveKeys(keys), shelf=shelf))
        with served(app) as address:
            done = subprocess.run(
                [
                    *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"),
                    *(f"{address}/openapi.json", "--wait-for-schema", "60", "--header", f"Authorization: Bearer {key}"),
                    *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", "1"),
                    "--no-color",
                ],
                capture_output=True,
                text=True,
                cwd=tmp_path,
            )
    assert done.returncode == 0, done.stdout
    routes = sum(len(methods) for methods in app.openapi_schema.to_schema()["paths"].values())
    assert f"Operations:       {routes} selected" in done.stdout
    assert "Authentication failed" not in done.stdout, done.stdout
