"""Run the application: listen, load the engine, say so, and drain when told to stop.

The socket is open before the engine is loaded: until then /livez answers 200 and /readyz 503.
"""

import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

import uvicorn

from recsys.errors import RecsysError
from serving.api import create_app
from serving.protocol import Engine
from serving.reload import Reloader
from serving.service import Service
from serving.surfaces import SurfacesFile

DRAIN_S: Final = 30
"""How long requests that are under way at SIGTERM may take."""


class AddressError(RecsysError):
    """The server cannot listen where it was told to."""


def run(
    service: Service,
    load_engine: Callable[[], Engine],
    newest: Callable[[], object],
    rules: SurfacesFile | None = None,
    *,
    host: str,
    port: int,
) -> None:
    """Serve until SIGTERM or SIGINT; port 0 takes a free one. Prints one line with the address when ready.

    newest  what `load_engine` would load (serving.reload)
    rules   the surfaces of the project; None: there are none

    Call it in the main thread, which gets the signals. Raises AddressError, or whatever `load_engine` raised.
    """
    reloader, stop = Reloader(service, load_engine, newest, rules), threading.Event()
    with _listen(host, port) as listener:
        # No access log: it would name the clients. Messages go to the logging of the process.
        settings = uvicorn.Config(
            create_app(service),
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_S,
        )
        server = uvicorn.Server(settings)
        address = _url(listener)
        failures: list[BaseException] = []

        def load() -> None:
            try:
                engine = reloader.first()
            except BaseException as error:  # raised again in the main thread
                failures.append(error)
                server.should_exit = True
            else:
                print(
                    f"recsys serves {engine.bundle_id} on {address}, the API is described at {address}/docs", flush=True
                )
                reloader.watch(stop)

        # After draining uvicorn raises the signal once more: end then as after any other command that did its work.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _exit)
        threading.Thread(target=load, name="load-engine", daemon=True).start()
        try:
            server.run(sockets=[listener])
        finally:
            stop.set()
    if failures:
        raise failures[0]


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise AddressError(
            f"{host}:{port}: {error.strerror}; choose another address with --host and --port, or port 0 for a free one"
        ) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
