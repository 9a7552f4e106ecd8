"""The commands `recsys keys create|list|rotate|revoke`: the API keys of a project.

Reads and writes  keys.json beside recsys.toml; running servers follow it within a second
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec

from recsys.cli import CONFIG_OPTION
from recsys.errors import RecsysError
from recsys.workspace import Workspace
from serving.keys import SCOPES, Limits, Scope, StoredKey, make_key
from serving.keys_file import Keys, KeysFile

SHOWN_ONCE = "This is the only time that the key is shown; keep it where secrets are kept."
POSITIVE = click.FloatRange(min=0, min_open=True)


class NoSuchKeyError(RecsysError):
    """A key that is named is not there, or is of no use any more."""


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke the API keys of a project; see docs/security.md."""


@keys.command()
@CONFIG_OPTION
@click.option("--name", required=True, help="Who gets it, as in shop-frontend.")
@click.option("--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True, help="Several are allowed.")
@click.option("--expires-days", type=POSITIVE, help="Days until it expires; never if absent.")
@click.option(
    "--requests-per-second",
    type=POSITIVE,
    help="Instead of security.requests_per_second.",
)
@click.option("--burst", type=click.IntRange(min=1), help="Instead of security.burst.")
@click.option("--max-candidates", type=click.IntRange(min=1), help="Instead of serving.max_candidates.")
@click.option("--max-body-bytes", type=click.IntRange(min=1), help="Instead of security.max_body_bytes.")
def create(
    config_path: Path,
    name: str,
    scopes: Sequence[Scope],
    expires_days: float | None,
    requests_per_second: float | None,
    burst: int | None,
    max_candidates: int | None,
    max_body_bytes: int | None,
) -> None:
    """Make a key and print it, once."""
    now = datetime.now(UTC)
    text, key = make_key(
        name,
        tuple(sorted(set(scopes), key=SCOPES.index)),
        now=now,
        expires_at=None if expires_days is None else now + timedelta(days=expires_days),
        limits=Limits(requests_per_second, burst, max_candidates, max_body_bytes),
    )
    _file_of(config_path).change(lambda keys: [*keys, key])
    click.echo(text)
    click.echo(SHOWN_ONCE, err=True)


@keys.command("list")
@CONFIG_OPTION
def list_keys(config_path: Path) -> None:
    """Print id, state, scopes, expiry and name of every key; never the key."""
    found, now = _file_of(config_path).read(), datetime.now(UTC)
    if not found:
        click.echo("no keys; make one with `recsys keys create --name NAME --scope rank`")
    for key in found:
        until = f"until {key.expires_at:%Y-%m-%d %H:%M}Z" if key.expires_at else "for ever"
        after = f"  successor of {key.succeeds}" if key.succeeds else ""
        click.echo(f"{key.key_id}  {key.state(now):8}{','.join(key.scopes):20}  {until:24}{key.name}{after}")


@keys.command()
@CONFIG_OPTION
@click.argument("key_id")
@click.option(
    "--overlap-days",
    type=click.FloatRange(min=0),
    default=7.0,
    show_default=True,
    help="How long the old key stays valid beside the new one.",
)
@click.option(
    "--expires-days",
    type=POSITIVE,
    help="Days until the new one expires; never if absent.",
)
def rotate(config_path: Path, key_id: str, overlap_days: float, expires_days: float | None) -> None:
    """Make a successor with the same scopes and limits and print it, once; the old key expires after the overlap."""
    now, made = datetime.now(UTC), []

    def edit(found: Keys) -> list[StoredKey]:
        old = _named(found, key_id)
        if old.state(now) != "valid":
            raise NoSuchKeyError(f"{key_id}: the key is {old.state(now)}; make a new one with `recsys keys create`")
        text, new = make_key(
            old.name,
            old.scopes,
            now=now,
            expires_at=None if expires_days is None else now + timedelta(days=expires_days),
            succeeds=key_id,
            limits=old.limits,
        )
        made.append(text)
        end = now + timedelta(days=overlap_days)
        ending = msgspec.structs.replace(old, expires_at=min(end, old.expires_at or end))
        return [ending if key is old else key for key in found] + [new]

    _file_of(config_path).change(edit)
    click.echo(made[0])
    click.echo(f"{SHOWN_ONCE} The old one, {key_id}, is valid for {overlap_days:g} more days.", err=True)


@keys.command()
@CONFIG_OPTION
@click.argument("key_id")
def revoke(config_path: Path, key_id: str) -> None:
    """End a key now: servers refuse it within a second."""
    now = datetime.now(UTC)

    def edit(found: Keys) -> list[StoredKey]:
        old = _named(found, key_id)
        ended = msgspec.structs.replace(old, revoked_at=old.revoked_at or now)
        return [ended if key is old else key for key in found]

    _file_of(config_path).change(edit)
    click.echo(f"{key_id} is revoked")


def _file_of(config_path: Path) -> KeysFile:
    return KeysFile(Workspace.open(config_path).keys)


def _named(found: Keys, key_id: str) -> StoredKey:
    for key in found:
        if key.key_id == key_id:
            return key
    # Not what was given: it might be a whole key.
    raise NoSuchKeyError(
        "there is no key with this id; expected 16 hexadecimal digits as `recsys keys list` shows them"
    )
