"""Run the command line as a user does: a process of its own, with its exit code and its words."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

BLOCK = '''
import sys
from importlib.machinery import ModuleSpec

class Blocked:
    """Finds what must not be imported, so that others take it for installed, and fails to load it."""

    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name.partition(".")[0] in {blocked} else None

    def create_module(self, spec):
        raise ModuleNotFoundError(f"{{spec.name}} is blocked", name=spec.name)

    def exec_module(self, module):
        """Never called: create_module fails."""

sys.meta_path.insert(0, Blocked())
'''
NOT_TO_SERVE = ("torch", "transformers", "feast", "pandas", "pyarrow", "sklearn")
"""What a server goes without, even where it is installed."""
COMMAND = "from recsys.cli import main; main()"
READY_TIMEOUT_S = 120


def recsys(
    *arguments: str | Path, expect: int = 0, blocked: tuple[str, ...] = (), all_cores: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `recsys ARGUMENTS`, with some packages out of reach; the exit code must be as expected, and there is never a
    traceback."""
    command = [sys.executable, "-c", BLOCK.format(blocked=blocked) + COMMAND, *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if not (all_cores and name == "OMP_NUM_THREADS")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, env=environment)
    assert done.returncode == expect, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


@dataclass(frozen=True)
class Server:
    """A running server."""

    address: str

    def get(self, route: str) -> tuple[int, Any]:
        return self._send("GET", route, None)

    def post(self, route: str, body: object) -> tuple[int, Any]:
        return self._send("POST", route, json.dumps(body))

    def _send(self, method: str, route: str, body: str | None) -> tuple[int, Any]:
        with closing(HTTPConnection(self.address.removeprefix("http://"), timeout=60)) as connection:
            connection.request(method, route, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        return answer.status, json.loads(text) if "json" in answer.headers["Content-Type"] else text


@contextmanager
def serving(config: Path, *, may_complain: bool = False) -> Iterator[Server]:
    """`recsys serve` on a free port, with what only training needs blocked: importing it would fail.

    may_complain  of a machine that does much else meanwhile, where parts of answers come too late
    """
    command = [
        sys.executable,
        "-c",
        BLOCK.format(blocked=NOT_TO_SERVE) + COMMAND,
        "serve",
        "--config",
        str(config),
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            line = process.stdout.readline()
            assert " on http" in line, line + process.stderr.read()
            yield Server(line.partition(" on ")[2].partition(",")[0])
        finally:
            process.terminate()
            _, complaints = process.communicate(timeout=READY_TIMEOUT_S)
        assert process.returncode == 0, complaints
        assert complaints == "" or may_complain
