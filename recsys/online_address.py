"""The address of the online feature store, or of the event log, in recsys.toml: read, and shown without secrets.

An address is "sqlite", or that of a Redis: redis://host:port/db, rediss://, unix:///path. ${NAME} in it stands for an
environment variable, so that a password need not be in a file.
"""

import os
import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from recsys.errors import ConfigError

SQLITE: Final = "sqlite"
SCHEMES: Final = ("redis", "rediss", "unix")
EXPECTED: Final = '"sqlite", redis://host:port/db, rediss://host:port/db or unix:///path'

_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


def resolve(setting: str, key: str = "features.online_store") -> str:
    """The address with the values of its variables; `key` of recsys.toml is where it stands.

    Raises ConfigError, which names the store without its password.
    """
    if missing := sorted(name for name in set(_VARIABLE.findall(setting)) if name not in os.environ):
        raise ConfigError(f"{key}: found no environment variable {missing}; set it before you start")
    address = _VARIABLE.sub(lambda found: os.environ[found[1]], setting)
    check(address, key)
    return address


def check(setting: str, key: str = "features.online_store") -> None:
    """Raises ConfigError for what is no address. With variables in it, it is one when their values say so."""
    if setting == SQLITE or _VARIABLE.search(setting):
        return
    # What was found is not in the message: any part of a mistyped address may be one of the password.
    problem = f"{key}: expected {EXPECTED}"
    try:
        parts = urlsplit(setting)
        parts.port  # noqa: B018  # raises ValueError when it is not a number
    except ValueError:
        raise ConfigError(f"{problem}; percent-encode special characters of a password (/ as %2F)") from None
    if parts.scheme not in SCHEMES or not (parts.path if parts.scheme == "unix" else parts.hostname):
        raise ConfigError(f"{problem}; correct the address")
    if parts.fragment or any("@" in part for part in (parts.path, parts.query)):
        raise ConfigError(f"{problem}; percent-encode special characters of a password (/ as %2F, @ as %40)")


def shown(address: str) -> str:
    """An address that was checked, for messages: without user, password and options other than the database."""
    if address == SQLITE:
        return address
    parts = urlsplit(address)
    database = "".join(f"?db={number}" for number in parse_qs(parts.query).get("db", []) if number.isdigit())
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{database}"
