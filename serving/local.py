"""Which requests come from this machine, for a server that is open to it without a key.

The address is not enough: a page in a browser on this machine reaches 127.0.0.1 as well, and so does a proxy on it.
"""

import ipaddress
from collections.abc import Collection, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from litestar.exceptions import HTTPException


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether an address, or a name in a request, is that of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_local(headers: Mapping[str, str], origins: Collection[str]) -> None:
    """Raises the 403 for what was asked under another name than this machine's (DNS rebinding, a proxy), or by a page
    of another origin than these (cross-site requests)."""
    host = _host_of(f"//{headers.get('host', '')}")
    if not is_loopback(host):
        raise _refused("the request is for another host than localhost")
    origin = headers.get("origin")
    if origin is not None and origin not in origins and not is_loopback(_host_of(origin)):
        raise _refused("the request comes from a web page of another origin")


def _host_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _refused(what: str) -> HTTPException:
    return HTTPException(
        f"{what}, and this server is open without a key to programs on its own machine alone; "
        "make keys with `recsys keys create`, see docs/security.md",
        status_code=403,
    )
