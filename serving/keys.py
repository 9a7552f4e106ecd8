"""API keys: how they are made, what is kept of them, and how one that is shown is checked.

A key is `recsys_ID_SECRET`: ID, 16 hexadecimal digits, is public and stands in lists and logs; SECRET is 256 random
bits. Whoever made the key sees it once. Kept is HMAC-SHA-256 of the secret under a salt of the key's own, which says
nothing of the secret: https://www.rfc-editor.org/rfc/rfc2104.

A slow hash such as scrypt is for passwords, which can be guessed. Nobody guesses one of 2^256 secrets, so that a fast
hash protects a stolen file as well, and costs a request microseconds instead of a tenth of a second.
"""

import hmac
import re
import secrets
from datetime import datetime
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

Scope = Literal["rank", "ingest", "admin", "metrics"]
"""rank: answers; ingest: events and items; admin: bundles and the data of users; metrics: GET /metrics. None of them
includes another."""
SCOPES: Final[tuple[Scope, ...]] = ("rank", "ingest", "admin", "metrics")
State = Literal["valid", "expired", "revoked"]

_KEY: Final = re.compile(r"recsys_(?P<key_id>[0-9a-f]{16})_(?P<secret>[0-9a-f]{64})")
Hex = Annotated[str, Meta(pattern="^[0-9a-f]+$")]
Moment = Annotated[datetime, Meta(tz=True)]


class Limits(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a key may ask; None: as recsys.toml says for all."""

    requests_per_second: Annotated[float, Meta(gt=0)] | None = None
    burst: Annotated[int, Meta(gt=0)] | None = None
    max_candidates: Annotated[int, Meta(gt=0)] | None = None
    max_body_bytes: Annotated[int, Meta(gt=0)] | None = None


class StoredKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is kept of a key."""

    key_id: Hex
    name: str
    """Who has it, for people."""
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1)]
    salt: Hex
    digest: Hex
    created_at: Moment
    expires_at: Moment | None = None
    revoked_at: Moment | None = None
    succeeds: Hex | None = None
    """The key_id of the one that it was made to take the place of."""
    limits: Limits = Limits()

    def state(self, now: datetime) -> State:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"

    def opens_with(self, secret: str) -> bool:
        """Whether this is its secret. Takes as long for a wrong one as for the right one."""
        return hmac.compare_digest(_digest(self.salt, secret), self.digest)


class ShownKey(NamedTuple):
    """A key as a request shows it; nothing that prints it shows the secret."""

    key_id: str
    secret: str

    @classmethod
    def parse(cls, text: str) -> "ShownKey | None":
        """None when the text is no key."""
        found = _KEY.fullmatch(text)
        return None if found is None else cls(found["key_id"], found["secret"])

    def __repr__(self) -> str:
        return f"ShownKey({self.key_id})"


def make_key(
    name: str,
    scopes: tuple[Scope, ...],
    *,
    now: datetime,
    expires_at: datetime | None = None,
    succeeds: str | None = None,
    limits: Limits | None = None,
) -> tuple[str, StoredKey]:
    """A new key: the text that its owner gets, and what is kept of it."""
    key_id, secret, salt = secrets.token_hex(8), secrets.token_hex(32), secrets.token_hex(16)
    stored = StoredKey(
        key_id=key_id,
        name=name,
        scopes=scopes,
        salt=salt,
        digest=_digest(salt, secret),
        created_at=now,
        expires_at=expires_at,
        succeeds=succeeds,
        limits=limits or Limits(),
    )
    return f"recsys_{key_id}_{secret}", stored


def _digest(salt: str, secret: str) -> str:
    return hmac.digest(bytes.fromhex(salt), secret.encode(), "sha256").hex()


DECOY: Final = StoredKey(
    key_id="0" * 16,
    name="nobody",
    scopes=("rank",),
    salt="00" * 16,
    digest="00" * 32,
    created_at=datetime.min,
)
"""What a key that nobody has is compared with, so that the time of a refusal does not tell which ids there are."""
