"""One request over a connection that is kept for the next one; for several threads, and safe after a fork."""

import os
import ssl
import time
from collections import deque
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead, RemoteDisconnected
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from recsys.client.errors import ClientError, UnreachableError

MAX_IDLE_S: Final = 4.0
"""Servers close what was idle for longer: uvicorn after 5 s."""

CHUNK: Final = 1 << 16
_CLOSED: Final = (RemoteDisconnected, BrokenPipeError, ConnectionResetError, ConnectionAbortedError)


class Received(NamedTuple):
    """An answer; the names of its headers are in lower case."""

    status: int
    phrase: str
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """The connections to one server."""

    def __init__(
        self, url: str, *, headers: Mapping[str, str], tls: ssl.SSLContext | None = None, most_idle: int = 16
    ) -> None:
        """url        http:// or https://, with a path in front of the routes if there is one
        tls        for https with certificates of one's own
        most_idle  connections that are kept; more are opened when more threads ask at once

        Raises ClientError for what is no such url.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ClientError("the address of the server is none; expected http://HOST:PORT or https://HOST")
        self.prefix: Final = parts.path.rstrip("/")
        self.address: Final = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._host, self._port = parts.hostname, parts.port
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._headers = dict(headers)
        self._idle: deque[tuple[HTTPConnection, float]] = deque()
        self._most_idle = most_idle
        self._process = os.getpid()

    def exchange(self, method: str, target: str, body: bytes | None, *, timeout_s: float) -> Received:
        """Send and wait; target: path and query. Raises UnreachableError."""
        ends = time.monotonic() + timeout_s
        while (kept := self._kept()) is not None:
            try:
                return self._send(kept, method, target, body, ends)
            except _CLOSED:
                # The server closed it while nobody looked, and has hardly read what was sent.
                continue
        fresh = self._connected(ends)
        try:
            return self._send(fresh, method, target, body, ends)
        except _CLOSED as error:
            raise UnreachableError(f"{self.address} closed the connection without an answer", sent=True) from error

    def close(self) -> None:
        """Close what is idle; a later request opens a new connection."""
        while self._idle:
            self._idle.pop()[0].close()

    def _kept(self) -> HTTPConnection | None:
        if self._process != os.getpid():
            # The parent's connections: its answers would come here.
            self._process = os.getpid()
            self.close()
        while True:
            try:
                connection, since = self._idle.pop()
            except IndexError:
                return None
            if time.monotonic() - since < MAX_IDLE_S:
                return connection
            connection.close()

    def _connected(self, ends: float) -> HTTPConnection:
        connection = (
            HTTPConnection(self._host, self._port, timeout=_left(ends))
            if self._tls is None
            else HTTPSConnection(self._host, self._port, timeout=_left(ends), context=self._tls)
        )
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise UnreachableError(f"{self.address} cannot be reached: {error}", sent=False) from error
        return connection

    def _send(self, connection: HTTPConnection, method: str, target: str, body: bytes | None, ends: float) -> Received:
        socket, begun = connection.sock, False
        try:
            socket.settimeout(_left(ends))
            connection.request(method, self.prefix + target, body, self._headers)
            response = connection.getresponse()
            begun = True
            content = bytearray()
            while chunk := response.read1(CHUNK):
                content += chunk
                socket.settimeout(_left(ends))
            if response.length:
                raise IncompleteRead(bytes(content), response.length)
            will_close = response.will_close
            response.close()
        except BaseException as error:
            # Whatever it was, an answer may still come on it.
            connection.close()
            if isinstance(error, TimeoutError):
                raise UnreachableError(f"{self.address} did not answer in time", sent=True) from error
            if not isinstance(error, (HTTPException, OSError)) or (isinstance(error, _CLOSED) and not begun):
                raise
            raise UnreachableError(f"{self.address} broke off: {type(error).__name__}", sent=True) from error
        if will_close:
            connection.close()
        else:
            self._keep(connection)
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Received(response.status, response.reason, headers, bytes(content))

    def _keep(self, connection: HTTPConnection) -> None:
        if len(self._idle) >= self._most_idle:
            connection.close()
        else:
            self._idle.append((connection, time.monotonic()))


def _left(ends: float) -> float:
    """Seconds for a socket to wait: 0 would mean not to wait at all."""
    return max(ends - time.monotonic(), 0.001)
