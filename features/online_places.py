"""Where a filling of the online store lies: in a SQLite file of its own, or in Redis under keys of its own.

A filling is made, serves, and is removed when the next one serves; none is filled twice.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import SecretStr

from features.packed.places import RowsPlace
from features.packed.sqlite import SqliteRows
from recsys.errors import FeatureStoreError
from recsys.online_address import SQLITE, shown

PLUGINS: Final = "features.feast_plugins"

VARIABLE: Final = "RECSYS_ONLINE_STORE"
"""The environment variable out of which the `feast` command takes the address of Redis."""

FILL_TIMEOUT_MS: Final = 10_000
"""For Redis to take a part of a filling, or to clear one; a request waits as long as features.packed.redis has it."""


class OnlinePlace(Protocol):
    """A kind of online store."""

    name: str
    """The store in messages: its address without a password."""

    readable_when_removed: bool
    """Whether who has read from a filling can go on when it is removed."""

    hint: str
    """What a user of feature_store.yaml has to know."""

    def section(self, filling: str) -> dict[str, Any]:
        """The section online_store of Feast's configuration; it may hold a password."""

    def public_section(self, filling: str) -> dict[str, Any]:
        """The same without a password, for a file."""

    def fill_section(self, filling: str) -> dict[str, Any]:
        """The same for who fills it."""

    def rows(self, folder: Path, filling: str, *, patient: bool = False) -> RowsPlace:
        """Its rows, for whoever reads them; `patient`: for who would rather wait than do without."""

    def clear(self, filling: str) -> None:
        """Remove the rows that are in no file of the features folder. Raises RowsUnavailableError."""


class SqlitePlace:
    """The file online/FILLING.db in the features folder."""

    name = SQLITE
    readable_when_removed = True
    hint = ""

    def section(self, filling: str) -> dict[str, Any]:
        """The path is relative to the features folder."""
        return {"type": f"{PLUGINS}.packed_sqlite_online_store.PackedSqliteOnlineStore", "path": self._path(filling)}

    public_section = fill_section = section

    def rows(self, folder: Path, filling: str, *, patient: bool = False) -> SqliteRows:
        """Those of the file."""
        return SqliteRows(folder / self._path(filling))

    def clear(self, filling: str) -> None:
        """There are none."""

    def _path(self, filling: str) -> str:
        return f"online/{filling}.db"


class RedisPlace:
    """Keys in Redis that begin with recsys:PROJECT:FILLING:."""

    readable_when_removed = False
    hint = f"Set {VARIABLE} to the address of Redis, as in [features] online_store of recsys.toml."

    def __init__(self, address: str, project: str) -> None:
        """Raises FeatureStoreError when recsys[redis] is not installed."""
        self.name = shown(address)
        self._address = SecretStr(address)
        # Signs that mean something to a pattern, to YAML or to a shell are left out.
        self._project = re.sub(r"[^\w.-]+", "-", project, flags=re.ASCII)
        if find_spec("redis") is None:
            raise FeatureStoreError(
                f"features.online_store: found {self.name}, but not the package redis; "
                "pip install 'recsys[redis]', or set online_store to sqlite"
            )

    def section(self, filling: str) -> dict[str, Any]:
        """With the address, which nothing prints."""
        return {**self.public_section(filling), "connection_string": self._address}

    def public_section(self, filling: str) -> dict[str, Any]:
        """With a variable instead of the address."""
        return {
            "type": f"{PLUGINS}.packed_redis_online_store.PackedRedisOnlineStore",
            "connection_string": f"${{{VARIABLE}}}",
            "key_prefix": self._prefix(filling),
        }

    def fill_section(self, filling: str) -> dict[str, Any]:
        """With more patience."""
        return {**self.section(filling), "timeout_ms": FILL_TIMEOUT_MS}

    def rows(self, folder: Path, filling: str, *, patient: bool = False) -> RowsPlace:
        """Those of the keys."""
        # Here, for not every installation has the package.
        from features.packed.redis import TIMEOUT_MS, RedisRows

        timeout_ms = FILL_TIMEOUT_MS if patient else TIMEOUT_MS
        return RedisRows(self._address.get_secret_value(), self._prefix(filling), timeout_ms=timeout_ms)

    def clear(self, filling: str) -> None:
        """Every key of the filling. Raises RowsUnavailableError."""
        from features.packed.redis import RedisRows

        rows = RedisRows(self._address.get_secret_value(), self._prefix(filling), timeout_ms=FILL_TIMEOUT_MS)
        rows.clear()
        rows.close()

    def _prefix(self, filling: str) -> str:
        return f"recsys:{self._project}:{filling}"


def place_of(address: str, project: str) -> OnlinePlace:
    """The kind of store that an address names. Raises FeatureStoreError when what it needs is not installed."""
    return SqlitePlace() if address == SQLITE else RedisPlace(address, project)
