"""Run the application: listen, load the engines, say so, and drain when told to stop.

The socket is open before the engines are loaded: until then /livez answers 200 and /readyz 503. One of several
processes on a socket answers nothing before it has its engines.
"""

import gc
import signal
import socket
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Final

import uvicorn

from serving.api import create_app
from serving.listening import listen, url
from serving.reload import Reloader
from serving.service import Service
from serving.tenants import check_keys
from serving.watch import Follower

DRAIN_S: Final = 30
"""How long requests that are under way at SIGTERM may take."""


def run(
    reloaders: Sequence[Reloader],
    *,
    host: str,
    port: int,
    listener: socket.socket | None = None,
    follower: Follower | None = None,
) -> None:
    """Serve one project, or several that their keys tell apart, until SIGTERM or SIGINT; port 0 takes a free one.

    listener  the socket, of one that has been opened for several processes (serving.supervisor): instead of an address
    follower  is told of each request when it is over

    Prints one line with the address when ready, and says in it when no key is needed. Call it in the main thread, which
    gets the signals. Raises AddressError, NoKeysError, or whatever the loading of an engine raised.
    """
    services, stop = [reloader.service for reloader in reloaders], threading.Event()
    is_worker = listener is not None
    with listener or listen(host, port) as listener:
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
        address = url(listener)
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
        # Modules are for good: what collects old engines later need not look at them, which would hold up a request.
        gc.freeze()
        if is_worker:
            # First: who came to it meanwhile would be told to wait, and another worker has an engine.
            load()
        else:
            threading.Thread(target=load, name="load-engine", daemon=True).start()
        try:
            if not failures:
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


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
