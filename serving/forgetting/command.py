"""The command `recsys forget`: remove all that a project keeps of users, and say which bundles were trained with them.

Servers go on meanwhile, and are rid of the users first. No id is printed, but for what the caller typed.

    recsys forget USER --config recsys.toml        one user or several
    recsys forget --pending                        go on with what a request, or a run that was killed, left to do
"""

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from recsys.cli import CONFIG_OPTION
from recsys.durable import at_once_or_not
from recsys.forgetting.learned import forget_learned
from recsys.forgetting.register import Register
from recsys.forgetting.tables import forget_tables
from recsys.forgetting.who import Who
from recsys.workspace import RETRAIN_LOCK, Workspace
from serving.forgetting.served import forget_served

BUSY: Final = 4
"""The exit code while a retraining runs."""


@click.command("forget")
@CONFIG_OPTION
@click.argument("users", nargs=-1, metavar="[USER]...")
@click.option("--pending", is_flag=True, help="Nobody new: go on with all of whom something may be left")
@click.option("--locked", is_flag=True, hidden=True, help="The caller holds the lock: set by recsys retrain")
def forget_command(config_path: Path, users: tuple[str, ...], pending: bool, locked: bool) -> None:
    """Remove everything that is stored of users, and mark the bundles that were trained with them.

    Exit codes: 0 done, 4 a retraining runs, which the rest has to wait for.
    """
    if bool(users) == pending:
        raise click.UsageError("name users, or give --pending: one of the two")
    workspace = Workspace.open(config_path)
    register = Register(workspace.root)
    who = register.note(users, datetime.now(UTC)) if users else register.pending()
    if who is None:
        click.echo("forget: nobody is left to be forgotten")
        return
    click.echo(f"forget: {len(who.moments):,} users")
    _say("rows of servers", forget_served(workspace, who, thoroughly=True))
    with nullcontext(True) if locked else at_once_or_not(workspace.root / RETRAIN_LOCK) as is_free:
        if is_free:
            _forget_trained(workspace, who)
            register.set_done(who)
            return
    click.echo(
        "forget: a retraining runs; run `recsys forget --pending` when it has ended, or leave the rest to the next one"
    )
    sys.exit(BUSY)


def _forget_trained(workspace: Workspace, who: Who) -> None:
    learned = forget_learned(workspace, who)
    if workspace.features.exists():
        # Here, for it brings Feast along.
        from features.store import BehaviourStore

        _say("features", BehaviourStore.of(workspace).forget(who))
    _say("rows", forget_tables(workspace, who))
    _say("results of stages", {"cache": learned.stages})
    for name in learned.bundles:
        click.echo(f"forget: {name} was trained with them; the next `recsys retrain` replaces it if it is the champion")


def _say(what: str, counts: Mapping[str, int]) -> None:
    told = ", ".join(f"{count:,} {place}" for place, count in counts.items() if count)
    click.echo(f"forget: {what}: {told or 'none'}")
