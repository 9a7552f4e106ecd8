"""Headers that every answer has, errors and those of the framework included, and what browsers may ask.

https://cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html#security-headers
"""

import base64
import hashlib
from typing import Final

from litestar.config.cors import CORSConfig
from litestar.types import Message, Scope

from serving.docs import STYLE

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

SECURITY_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    # Answers are about a person, or change.
    "cache-control": "no-store",
    # The page at /docs has one style and an empty icon; nothing else is shown by a browser.
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
_ENCODED: Final = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


async def add_security_headers(message: Message, _: Scope) -> None:
    """For `before_send` of the application: middleware would miss what no route answers."""
    if message["type"] == "http.response.start":
        message["headers"] = [*message["headers"], *_ENCODED]


def cors(origins: list[str]) -> CORSConfig | None:
    """What pages of these origins may ask from a browser; None: none may. A key is never sent by the browser itself."""
    if not origins:
        return None
    return CORSConfig(
        allow_origins=origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "X-API-Key", "Content-Type"],
        expose_headers=["Retry-After", "WWW-Authenticate"],
        allow_credentials=False,
    )
