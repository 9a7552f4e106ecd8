"""Ids in the path of a request: opaque strings, in which a slash means nothing."""

from typing import Any
from urllib.parse import unquote

from litestar import Request
from litestar.connection import ASGIConnection


def id_in_path(request: Request[Any, Any, Any], before: str, after: str = "") -> str | None:
    """What stands between two parts of the path, as it was sent; None when it does not end so, or holds nothing.

    Litestar's own value has lost doubled and last slashes, and is decoded twice.
    """
    sent = sent_behind(request, before)
    if not sent.endswith(after):
        return None
    return unquote(sent[: len(sent) - len(after)]) or None


def sent_behind(connection: ASGIConnection[Any, Any, Any, Any], before: str) -> str:
    """What stands in the path behind a part of it, before anything was decoded."""
    path: bytes = connection.scope["raw_path"]
    return path.partition(b"?")[0].decode("ascii", "replace").partition(before)[2]
