"""Run the application: listen, load the engines, say so, and drain when told to stop.

The socket is open before the engines are loaded: until then /livez answers 200 and /readyz 503.
"""

import signal
import socket
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Final

import uvicorn

from recsys.errors import RecsysError
from serving.api import create_app
from serving.reload import Reloader
from serving.service import Service
from serving.tenants import check_keys
from serving.watch import Follower

DRAIN_S: Final = 30
"""How long requests that are under way at SIGTERM may take."""


class AddressError(RecsysError):
    """The server cannot listen where it was told to."""


def run(reloaders: Sequence[Reloader], *, host: str, port: int, follower: Follower | None = None) -> None:
    """Serve one project, or several that their keys tell apart, until SIGTERM or SIGINT; port 0 takes a free one.

    `follower` is told of each request when it is over. Prints one line with the address when ready, and says in it when
    no key is needed. Call it in the main thread, which gets the signals. Raises AddressError, NoKeysError, or whatever
    the loading of an engine raised.
    """
    services, stop = [reloader.service for reloader in reloaders], threading.Event()
    with _listen(host, port) as listener:
        check_keys(services, listener.getsockname()[0])
        # No access log: it would name the clients. Messages go to the logging of the process.
        settings = uvicorn.Config(
            create_app(*services, follower=follower),
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
                bundles = [reloader.first().bundle_id for reloader in reloaders]
            except BaseException as error:  # raised again in the main thread
                failures.append(error)
                server.should_exit = True
            else:
                print(_ready(services, bundles, address), flush=True)
                for reloader in reloaders:
                    threading.Thread(target=reloader.watch, args=[stop], name="reload", daemon=True).start()

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


def _ready(services: Sequence[Service], bundles: Sequence[str], address: str) -> str:
    """The line that says what is served, and where."""
    if len(services) == 1:
        what = bundles[0]
    else:
        names = [service.config.name for service in services]
        what = ", ".join(f"{bundle} of {name}" for bundle, name in zip(bundles, names, strict=True))
    is_open = not services[0].keys
    note = "; open to this machine without a key, see docs/security.md" if is_open else ""
    return f"recsys serves {what} on {address}, the API is described at {address}/docs{note}"


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
