"""The commands `recsys bundles list|show|promote|rollback|diff|prune`: which bundle serves, and which could.

Reads and writes  bundles/, and the object store of [bundles] url; running servers follow within seconds
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from recsys.cli import CONFIG_OPTION
from recsys.errors import StoreError
from recsys.workspace import Workspace
from serving.bundle_shelf import BundleShelf, differences, flat

NOTHING = "–"


@click.group()
def bundles() -> None:
    """List, compare, promote and roll back the model bundles of a project; see docs/bundles.md."""


@bundles.command("list")
@CONFIG_OPTION
def list_command(config_path: Path) -> None:
    """Print every bundle, the newest first: * is the champion, - the one that a rollback goes back to."""
    shelf = _shelf(config_path)
    try:
        stored = shelf.stored()
    except StoreError as error:
        click.echo(f"{error}\nonly what lies here is listed, with the champion of here", err=True)
        stored = None
    lines = shelf.lines(stored)
    if not lines:
        click.echo("no bundles; `recsys train` makes one")
    for line in lines:
        mark = "*" if line.champion else "-" if line.previous else " "
        if line.problem is not None:
            click.echo(f"{mark} {line.bundle_id}  {line.problem}")
            continue
        measured = "not measured" if line.value is None else f"{line.metric} {line.value:.4f}"
        where = "" if stored is None else f"  {shelf.where(line.bundle_id, stored)}"
        forgotten = f"  trained with {line.forgotten_users:,} forgotten users" if line.forgotten_users else ""
        click.echo(
            f"{mark} {line.bundle_id}  made {_day(line.created_at)}  data until {_day(line.trained_until)}  "
            f"{measured}{where}{forgotten}"
        )


@bundles.command()
@CONFIG_OPTION
@click.argument("bundle_id", required=False)
def show(config_path: Path, bundle_id: str | None) -> None:
    """Print how a bundle was made, how good it is and what the gate said of it; the champion's unless named."""
    shelf = _shelf(config_path)
    bundle_id = shelf.champion() if bundle_id is None else bundle_id
    told = flat(msgspec.to_builtins(shelf.manifest(bundle_id)))
    decision = shelf.decision(bundle_id)
    if decision is not None:
        told |= flat({"decision": decision})
    if (mark := shelf.mark(bundle_id)) is not None:
        told |= {"forgotten.users": len(mark.users), "forgotten.latest": _day(mark.latest)}
    for name, value in told.items():
        click.echo(f"{name}: {_told(value)}")


@bundles.command()
@CONFIG_OPTION
@click.argument("bundle_id")
def promote(config_path: Path, bundle_id: str) -> None:
    """Make a bundle the champion, if every file of it is whole and its features are those of this version.

    One that is in the object store alone is brought here first.
    """
    _shelf(config_path).promote(bundle_id)
    click.echo(f"{bundle_id} is the champion")


@bundles.command()
@CONFIG_OPTION
def rollback(config_path: Path) -> None:
    """Go back to the champion before this one; again, to the one before that."""
    click.echo(f"{_shelf(config_path).rollback()} is the champion again")


@bundles.command()
@CONFIG_OPTION
@click.argument("before")
@click.argument("after")
def diff(config_path: Path, before: str, after: str) -> None:
    """Print in what two bundles differ: settings, features, figures."""
    shelf = _shelf(config_path)
    for name, (one, other) in differences(shelf.manifest(before), shelf.manifest(after)).items():
        numbers = all(isinstance(value, int | float) for value in (one, other))
        change = f" ({other - one:+.4g})" if numbers else ""
        click.echo(f"{name}: {_told(one)} → {_told(other)}{change}")


@bundles.command()
@CONFIG_OPTION
@click.option("--keep", type=click.IntRange(min=0), help="So many of the newest stay.")
@click.option("--forgotten", is_flag=True, help="Those go that were trained with users who are forgotten since.")
def prune(config_path: Path, keep: int | None, forgotten: bool) -> None:
    """Delete all but the newest bundles, here and in the object store.

    The champion, the one before it and those that experiments of recsys.toml name always stay. With --forgotten all
    those go that were trained with forgotten users, but for the champion.
    """
    if (keep is None) != forgotten:
        raise click.UsageError("give --keep, or --forgotten: one of the two")
    shelf = _shelf(config_path)
    for name in shelf.prune_forgotten() if keep is None else shelf.prune(keep=keep):
        click.echo(f"{name} is deleted")


def _shelf(config_path: Path) -> BundleShelf:
    return BundleShelf(Workspace.open(config_path))


def _day(moment: datetime | None) -> str:
    return NOTHING if moment is None else f"{moment:%Y-%m-%d %H:%M}Z"


def _told(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_told, value))}]"
    if value is None:
        return NOTHING
    return f"{value:.6g}" if isinstance(value, float) else str(value)
