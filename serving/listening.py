"""The socket that a server listens on."""

import socket

from recsys.errors import RecsysError


class AddressError(RecsysError):
    """The server cannot listen where it was told to."""


def listen(host: str, port: int) -> socket.socket:
    """Port 0 takes a free one. Raises AddressError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise AddressError(
            f"{host}:{port}: {error.strerror}; choose another address with --host and --port, or port 0 for a free one"
        ) from error


def url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
