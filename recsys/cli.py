"""The command line: `recsys COMMAND`.

Each package brings its own commands through the entry-point group `recsys.commands` (pyproject.toml): the vocabulary
imports no sibling, and an install without the training extra has a command line without the training framework.
"""

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import click

from recsys import __version__
from recsys.errors import RecsysError

GROUP = "recsys.commands"
CONFIG_OPTION = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default="recsys.toml",
    show_default=True,
    help="The project's recsys.toml.",
)
"""Of every command that works on a project."""

OUR_PACKAGES = ("recsys", "features", "training", "serving")
EXTRAS = {
    "tensorboardX": ("tensorboard", "track a training"),
    "mlflow": ("mlflow", "track a training"),
    "wandb": ("wandb", "track a training"),
    "optuna": ("tune", "search for settings"),
}
"""Which extra has a package, and what for; the others are in the training extra."""


class Commands(click.Group):
    """The installed commands, each imported only when it is called or listed in the help."""

    def __init__(self, *arguments: Any, entries: str = GROUP, **named: Any) -> None:
        """`entries`: the entry-point group that names them."""
        super().__init__(*arguments, **named)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(entry.name for entry in entry_points(group=self._entries))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = [entry for entry in entry_points(group=self._entries) if entry.name == cmd_name]
        return load_command(found[0]) if found else None


def load_command(entry: EntryPoint) -> click.Command:
    """The command of an entry point, or one that says what is missing to run it."""
    try:
        command = entry.load()
    except ModuleNotFoundError as error:
        short = f"(broken: {error.name} is missing)" if is_ours(error) else "(needs recsys[train])"
        return unavailable(entry.name, short, what_to_install(error))
    assert isinstance(command, click.Command)
    return command


def is_ours(error: ModuleNotFoundError) -> bool:
    """Whether the missing module is one of the engine's own."""
    return (error.name or "").partition(".")[0] in OUR_PACKAGES


def what_to_install(error: ModuleNotFoundError) -> str:
    """What a person can do about a missing module."""
    if is_ours(error):
        return f"our own module {error.name} is missing; the installation is damaged, install recsys again"
    extra, purpose = EXTRAS.get((error.name or "").partition(".")[0], ("train", "train and evaluate"))
    return f"the package {error.name} is not installed; install recsys[{extra}] to {purpose}"


def unavailable(name: str, short: str, message: str) -> click.Command:
    """A command that is listed, but raises RecsysError when it is called, whatever its arguments."""

    def explain() -> None:
        raise RecsysError(f"recsys {name}: {message}")

    options = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=explain, context_settings=options, help=short)


@click.group(cls=Commands, entries="recsys.audits")
def audit() -> None:
    """Prove on your own data what must always hold; exit code 1 when it does not."""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="recsys")
def recsys() -> None:
    """A recommendation engine that understands text."""


def reported(work: Callable[[], object]) -> None:
    """Do this; a RecsysError is one message on stderr and exit code 2."""
    try:
        work()
    except ModuleNotFoundError as error:
        # A command imports the training framework only once it has read its configuration.
        click.echo(f"error: {what_to_install(error)}", err=True)
        sys.exit(2)
    except RecsysError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)


def main() -> None:
    """Run the command line."""
    reported(lambda: recsys(prog_name="recsys"))
