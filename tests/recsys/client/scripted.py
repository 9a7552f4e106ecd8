"""A server that answers as it is told to, for tests of the client."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RANKED = {"request_id": "r", "bundle": "b", "took_ms": 1.0, "degraded": [], "items": [], "unknown": [], "filtered": []}


@dataclass(frozen=True)
class Say:
    """One answer; `after_s`: how long it takes, `close`: hang up afterwards, `cut`: send so many bytes of it."""

    status: int = 200
    body: Any = field(default_factory=lambda: RANKED)
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    close: bool = False
    cut: int | None = None


HANG_UP = Say(status=0)


@dataclass
class Scripted:
    url: str
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    """Method, target and body of each request, in the order in which they came."""
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0


@contextmanager
def scripted(*answers: Say) -> Iterator[Scripted]:
    """The last answer is given to all further requests."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            server.connections += 1
            super().setup()

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.asked.append((self.command, self.path, json.loads(body) if body else None))
            server.headers.append(dict(self.headers))
            say = left.pop(0) if len(left) > 1 else left[0]
            time.sleep(say.after_s)
            if say.status == 0:
                self.close_connection = True
                return
            content = say.body if isinstance(say.body, bytes) else json.dumps(say.body).encode()
            self.send_response(say.status)
            for name, value in {"Content-Length": str(len(content)), **say.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[: say.cut])
            if say.close or say.cut is not None:
                self.close_connection = True

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = Scripted(f"http://127.0.0.1:{http.server_address[1]}")
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
