"""What docs/api.md says can be sent can be sent, and it has every route."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from serving.api import create_app
from serving.events import EventLog
from serving.keys_file import KeysFile
from serving.service import Service
from tests.serving.fake_engine import CONFIG
from tests.serving.keyed import add_key
from tests.serving.test_key_server import address_in, first_line, project, serving

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "api.md").read_text("utf-8")
CALLS = re.findall(r"^curl .*$", DOCUMENT, re.M)
(PYTHON,) = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.M | re.S)


class Route(NamedTuple):
    method: str
    path: str

    def takes(self, called: "Route") -> bool:
        pattern = re.sub(r"\\\{[^/]*\\\}", "[^/]+", re.escape(self.path))
        return self.method == called.method and re.fullmatch(pattern, called.path) is not None


def called_by(line: str) -> Route:
    words = shlex.split(line)
    (address,) = [word for word in words if word.startswith("$RECSYS_URL")]
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if "--json" in words else "GET"
    return Route(method, address.removeprefix("$RECSYS_URL").partition("?")[0])


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[Route]:
    with EventLog.open(tmp_path_factory.mktemp("log") / "events.db") as log:
        described = create_app(Service(log, CONFIG)).openapi_schema.to_schema()["paths"]
    return [Route(method.upper(), path) for path, methods in described.items() for method in methods]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """With the address of a server with keys, and a key."""
    config = project(tmp_path_factory.mktemp("docs"), "shop")
    config.write_text(config.read_text().replace("click", "purchase"))
    key = add_key(KeysFile(config.parent / "keys.json"))
    with serving([config]) as process:
        yield {"PATH": os.environ["PATH"], "RECSYS_KEY": key, "RECSYS_URL": address_in(first_line(process))}


def test_every_route_has_a_call(routes: list[Route]):
    called = [called_by(line) for line in CALLS]
    assert [route for route in routes if not any(route.takes(call) for call in called)] == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
@pytest.mark.parametrize("line", CALLS, ids=lambda line: " ".join(called_by(line)))
def test_every_call_is_answered(line: str, environment: dict[str, str]):
    done = subprocess.run(
        ["bash", "-c", f"{line} --fail --max-time 20"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, bool(done.stdout)) == (0, True), (line, done.stderr)


def test_the_python_example_runs(environment: dict[str, str]):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PYTHON], env=environment, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    shown, status = done.stdout.splitlines()
    assert re.fullmatch(r"\[('[^']+'(, )?){5}\] \(.*\)", shown)
    assert status == "stored"
