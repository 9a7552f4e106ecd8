"""`recsys serve` as a process of its own, and a client that costs little beside it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import click

RECSYS = (sys.executable, "-c", "from recsys.cli import main; main()")
ADDRESS_MARK = " on http://"
HEADERS = {"Content-Type": "application/json"}
TIMEOUT_S = 60


@dataclass
class Served:
    """A server that is ready."""

    process: "subprocess.Popen[str]"
    host: str
    port: int

    def client(self) -> "Client":
        """A connection of its own, for one thread."""
        return Client(HTTPConnection(self.host, self.port, timeout=TIMEOUT_S))

    def kill(self) -> None:
        """SIGKILL, and wait until the process is no more."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@dataclass
class Client:
    """One connection, kept open."""

    connection: HTTPConnection = field(repr=False)

    def post(self, route: str, body: bytes) -> tuple[int, bytes]:
        """The status and the body of the answer. Raises OSError or HTTPException when there is none."""
        return self._ask("POST", route, body)

    def get(self, route: str) -> tuple[int, bytes]:
        """The same of a request without a body."""
        return self._ask("GET", route, None)

    def close(self) -> None:
        self.connection.close()

    def _ask(self, method: str, route: str, body: bytes | None) -> tuple[int, bytes]:
        self.connection.request(method, route, body, HEADERS)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


@contextmanager
def served(config: Path, recsys: Sequence[str] = RECSYS, *, workers: int = 1) -> Iterator[Served]:
    """The project's server on a free port of loopback, once it says that it is ready. It ends with the block.

    recsys   the command
    workers  processes that answer

    Raises ClickException with what the server said when it does not start.
    """
    command = [*recsys, "serve", "--config", str(config), "--port", "0", "--workers", str(workers)]
    root = Path(__file__).parents[1]
    with (
        Path(os.devnull).open("w") as nowhere,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=nowhere, text=True, cwd=root) as process,
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if ADDRESS_MARK not in line:
                raise click.ClickException(f"{' '.join(command)} did not start; run it to see why")
            host, _, port = line.partition(ADDRESS_MARK)[2].partition(",")[0].partition(":")
            yield Served(process, host, int(port))
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            process.wait()
